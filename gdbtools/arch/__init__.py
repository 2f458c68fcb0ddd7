"""What the manuals say: pure functions and data, no I/O.  The architectures are listed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gdbtools.arch.capabilities import Architecture


def _aarch64() -> Architecture:
    from gdbtools.arch.aarch64 import ARCHITECTURE

    return ARCHITECTURE


class _Architectures(Mapping[str, Architecture]):
    """Each architecture by its name, imported when it is first looked at: its tables are most of what there is."""

    def __init__(self, makers: Mapping[str, Callable[[], Architecture]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> Architecture:
        return self._makers[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


ARCHITECTURES: Final[Mapping[str, Architecture]] = _Architectures({"aarch64": _aarch64})
