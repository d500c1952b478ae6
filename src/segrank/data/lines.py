"""Many names as one text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

_END = "\0"
"""After each name: the one character that none has."""


class Lines(Sequence[str]):
    """Names that are kept and pickled as one text, and taken apart when somebody first looks.

    20,210 strings take several milliseconds to pickle and load, one text takes a fraction of one.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def of(cls, names: Iterable[str]) -> Lines:
        return cls(_END.join([*names, ""]))

    @cached_property
    def _names(self) -> list[str]:
        names = self.text.split(_END)
        names.pop()
        return names

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._names[index]

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lines) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[type[Lines], tuple[str]]:
        return Lines, (self.text,)
