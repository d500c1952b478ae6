"""Loops over pixels that no library has, compiled by numba when they are first called and kept on disk for later.

numba needs no compiler on the machine. Kernels release the interpreter's lock, so that threads run side by side;
none starts threads of its own: two of numba's thread pools at once crash the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile for the types it is called with. Division by zero and overflow follow C, not Python."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return cast(F, numba.njit(function, cache=True, **options))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return cast(F, numba.njit(function, **options))
