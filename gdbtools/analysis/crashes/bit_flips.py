"""One bit that would explain a crash: of a pointer, or of an entry; only where the log has the value without it.

A memory that loses bits and a program that overwrites them look alike here: what is shown is the distance, no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.analysis.crashes.model import CrashCause, Strength
from gdbtools.arch.model import Refusal, Walk
from gdbtools.bits import Field

_HALF: Final = 32
"""Below it two good pointers may differ by one bit: neighbours do."""
_TOP: Final = Field((63, _HALF))
_FEWEST: Final = 2
"""How many other registers have to lie where a pointer would lie without the bit."""
_MOST_NAMED: Final = 3
_OUTPUT: Final = Field((51, 12))
_WIDER: Final = 8
"""By how many bits an entry's address may be longer than the others' and still be one of the same memory."""


def of_pointer(address: int, registers: Mapping[str, int]) -> CrashCause | None:
    """Return the bit without which an address is near those that other registers have; None where there is no one."""
    others = {name: value for name, value in registers.items() if value != address and _TOP.of(value)}
    if any(_TOP.of(value) == _TOP.of(address) for value in others.values()):
        return None
    for bit in range(_HALF, 64):
        near = address ^ 1 << bit
        beside = [name for name, value in others.items() if _TOP.of(value) == _TOP.of(near)]
        if len(beside) >= _FEWEST:
            named = ", ".join(beside[:_MOST_NAMED])
            return CrashCause(
                f"bit {bit} of the address is flipped: {near:#x} was meant",
                Strength.POSSIBLE,
                (f"{named} lie in the same 4 GB as that, and none in the address's own",),
            )
    return None


def of_entry(walk: Walk | None, refused: Refusal | None) -> CrashCause | None:
    """Return the bit without which the deciding entry is as the ones before it; None where there is no one."""
    if walk is None or refused is None:
        return None
    at = next((each for each in walk.steps if each.pa == refused.decider.pa), None)
    before = [int(each.entry.word) for each in walk.steps if at is not None and each.level.number != at.level.number]
    if at is None or not before or not int(at.entry.word):
        return None
    word = int(at.entry.word)
    longest = max(_OUTPUT.of(each).bit_length() for each in before) + _WIDER

    def is_like(value: int) -> bool:
        same = any(_OUTPUT.into(value, 0) == _OUTPUT.into(each, 0) for each in before)
        return same and 0 < _OUTPUT.of(value).bit_length() <= longest

    if is_like(word):
        return None
    flips = [bit for bit in range(64) if is_like(word ^ 1 << bit)]
    if len(flips) != 1:
        return None
    (bit,) = flips
    return CrashCause(
        f"bit {bit} of the level {at.level.number} descriptor is flipped: {word ^ 1 << bit:#018x} was meant",
        Strength.POSSIBLE,
        ("all its other attributes are those of a table before it, and its address is in the same memory",),
    )
