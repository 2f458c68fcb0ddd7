"""Pure functions of registers, remembered by the values that they asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from gdbtools.addresses import Input
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import ReadRegister, Regime
from gdbtools.errors import Unavailable

T = TypeVar("T")
LIMIT = 1 << 12
"""How many answers are kept before all are forgotten: a guest has that many address spaces only in the long run."""
CHOOSES_RANGE = 48
"""From this bit on, an address may say which range of a regime translates it."""
NARROW, CHOOSES_NARROW_RANGE = 32, 25
"""The same of an address that has no more than so many bits."""


@dataclass
class _Asked:
    """A register that is asked for next, and what follows each value of it (None: the source does not have it)."""

    name: str
    then: dict[int | None, _Asked | _Known] = field(default_factory=dict)


@dataclass
class _Known:
    answer: object


@dataclass
class Cached(Generic[T]):
    """A function of registers and a key that asks for each register by what the ones before it said."""

    compute: Callable[[ReadRegister, Hashable], T]
    _roots: dict[Hashable, _Asked | _Known] = field(default_factory=dict)
    _answers: int = 0

    def __call__(self, register: ReadRegister, key: Hashable) -> T:
        """Return the answer for the registers as they are; every one that it depends on is read again."""
        at = self._roots.get(key)
        while isinstance(at, _Asked):
            at = at.then.get(_read(register, at.name))
        if at is None:
            return self._learn(register, key)
        return at.answer  # type: ignore[return-value]

    def _learn(self, register: ReadRegister, key: Hashable) -> T:
        asked: list[tuple[str, int | None]] = []

        def recording(name: str) -> int:
            try:
                value = register(name)
            except Unavailable:
                asked.append((name, None))
                raise
            asked.append((name, value))
            return value

        answer = self.compute(recording, key)
        if self._answers >= LIMIT:
            self._roots.clear()
            self._answers = 0
        self._answers += 1
        known = _Known(answer)
        if not asked:
            self._roots[key] = known
            return answer
        at = self._roots.setdefault(key, _Asked(asked[0][0]))
        for place, (_, value) in enumerate(asked):
            assert isinstance(at, _Asked), "what has been asked decides what is asked next"
            following = _Asked(asked[place + 1][0]) if place + 1 < len(asked) else known
            at = at.then.setdefault(value, following)
        return answer


def _read(register: ReadRegister, name: str) -> int | None:
    try:
        return register(name)
    except Unavailable:
        return None


class CachedRegimes:
    """`Architecture.regime_for`, remembered."""

    def __init__(self, architecture: Architecture) -> None:
        def compute(register: ReadRegister, key: Hashable) -> Regime:
            assert isinstance(key, tuple)
            name, high, low = key
            address = high << CHOOSES_RANGE | low << CHOOSES_NARROW_RANGE
            return architecture.regime_for(register, cast(Input, address), name)

        self._remembered = Cached(compute)

    def __call__(self, register: ReadRegister, address: Input, name: str | None = None) -> Regime:
        low = 0 if address >> NARROW else address >> CHOOSES_NARROW_RANGE
        return self._remembered(register, (name, address >> CHOOSES_RANGE, low))
