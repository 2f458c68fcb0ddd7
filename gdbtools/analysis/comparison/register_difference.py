"""In what two sources' registers differ, field by field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import ReadRegister
from gdbtools.bits import FieldValue, Word
from gdbtools.errors import Unavailable


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """A field that has another value; None on a side whose layout has no such field."""

    before: FieldValue | None
    after: FieldValue | None


@dataclass(frozen=True, slots=True)
class RegisterDifference:
    """A register that has another value; `reserved` are the bits that differ and that no field claims."""

    name: str
    before: Word
    after: Word
    fields: tuple[FieldDifference, ...]

    @property
    def reserved(self) -> int:
        return self.before.reserved ^ self.after.reserved


@dataclass(frozen=True, slots=True)
class Compared:
    """Registers that were compared: how many are the same, which differ, and which only one source has."""

    same: int
    differing: tuple[RegisterDifference, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


def compare_registers(
    architecture: Architecture, before: ReadRegister, after: ReadRegister, names: Iterable[str]
) -> Compared:
    """Compare the registers of those names; one that neither source has is left out."""
    same = 0
    differing: list[RegisterDifference] = []
    only_before: list[str] = []
    only_after: list[str] = []
    for name in names:
        was, now = (_word(architecture, name, register) for register in (before, after))
        if was is not None and now is not None:
            if was == now:
                same += 1
            else:
                differing.append(RegisterDifference(name, was, now, tuple(_fields(was, now))))
        elif was is not None:
            only_before.append(name)
        elif now is not None:
            only_after.append(name)
    return Compared(same, tuple(differing), tuple(only_before), tuple(only_after))


def _word(architecture: Architecture, name: str, register: ReadRegister) -> Word | None:
    try:
        return architecture.word(name, register)
    except Unavailable:
        return None


def _fields(was: Word, now: Word) -> Iterator[FieldDifference]:
    """Yield the fields that differ, most significant first; layouts that differ have some fields on one side only."""
    one, other = ({(each.field.mask, each.field.name): each for each in word.decoded()} for word in (was, now))
    for key in sorted({*one, *other}, reverse=True):
        before, after = one.get(key), other.get(key)
        if before is None or after is None or before.value != after.value:
            yield FieldDifference(before, after)
