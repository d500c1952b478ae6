"""What follows from an object that never changes, computed once for as long as the object is there. No torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

Of = TypeVar("Of")
Found = TypeVar("Found")


def once(function: Callable[[Of], Found]) -> Callable[[Of], Found]:
    """Keep what a function of one object returns. It must not be changed, and must not hold the object itself."""
    known: WeakKeyDictionary[Of, Found] = WeakKeyDictionary()

    @wraps(function)
    def found(of: Of) -> Found:
        if of not in known:
            known[of] = function(of)
        return known[of]

    return found
