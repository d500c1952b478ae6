"""Loops over pixels that no library has, compiled by numba when they are first called and kept on disk for later.

numba needs no compiler on the machine. Kernels release the interpreter's lock, so that threads run side by side;
none starts threads of its own: two of numba's thread pools at once crash the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile for the types it is called with. Division by zero and overflow follow C, not Python."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return cast(F, numba.njit(function, cache=True, **options))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return cast(F, numba.njit(function, **options))


def _fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


fma = cast(Callable[[np.float32, np.float32, np.float32], np.float32], intrinsic(_fma))
"""a * b + c in float32, rounded once, as torch's vector code adds. For compiled functions."""
