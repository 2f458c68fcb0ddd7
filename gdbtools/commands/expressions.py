"""Addresses as a user writes them where GDB does not read them: a number, a symbol or a register, with an offset."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gdbtools.arch.model import ReadRegister
from gdbtools.errors import UsageError
from gdbtools.numbers import number

_OFFSET = re.compile(r"(?P<base>.+?)(?P<sign>[+-])(?P<offset>\d\w*)")


@dataclass(frozen=True)
class Expressions:
    """`symbols` is looked at when the first one is met; without `register`, `$NAME` is not understood."""

    symbols: Callable[[], Mapping[str, int]]
    whence: str
    """What the error says of a name that is none of the symbols."""
    register: ReadRegister | None = None

    def evaluate(self, text: str) -> int:
        """Return the unsigned 64-bit value, or raise `UsageError`; `Unavailable` for a register that is not there."""
        if text[:1].isdigit():
            return number(text)
        split = _OFFSET.fullmatch(text)
        if split is None:
            return self._base(text)
        offset = number(split["offset"])
        return number(f"{self._base(split['base']) + (offset if split['sign'] == '+' else -offset):#x}")

    def _base(self, text: str) -> int:
        if text.startswith("$") and self.register is not None:
            return self.register(text.removeprefix("$"))
        name = text.removeprefix("&")
        known = self.symbols()
        if name not in known:
            raise UsageError(f"{name!r} {self.whence}; write an address like 0x1000")
        return known[name]
