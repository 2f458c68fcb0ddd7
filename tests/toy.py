"""An architecture of a page: two levels of 32-bit entries, one level of privilege, no exceptions and no repair.

It is registered by one line, and shows what a folder has to bring to be asked `status`, `regs`, `walk` and `map`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.identity import Emulator, Examples, Identity, StatusLayout
from gdbtools.arch.model import (
    Access,
    Attributes,
    Cause,
    Decider,
    Entry,
    EntryKind,
    Fault,
    FaultKind,
    Level,
    Privilege,
    ReadRegister,
    Refusal,
    Regime,
    Rights,
    Step,
    Walk,
)
from gdbtools.bits import Field, Word

ANYBODY: Final = Privilege(0, "user")
LEVELS: Final = (Level(0, 31, 22), Level(1, 21, 12))


class ToyCause(Cause):
    INVALID = "the entry is not valid"
    NOT_GRANTED = "the entry does not grant it"


class TTB(Word):
    """Where the tables are."""

    base = Field((31, 12), scale=1 << 12, doc="the root table")
    ON = Field(0, doc="whether addresses are translated")


class ToyEntry(Word):
    """An entry of either level."""

    address = Field((31, 12), scale=1 << 12, doc="the next table, or the page")
    X = Field(3, doc="may be executed")
    W = Field(2, doc="may be written")
    LEAF = Field(1, doc="maps, at level 0 as well")
    V = Field(0, doc="valid")


@dataclass(frozen=True)
class ToyRegime(Regime):
    """The one space there is."""

    root: int
    levels: tuple[Level, ...]
    own_name: str = "toy"
    stage: int = 1
    first: int = 0
    last: int = (1 << 32) - 1
    output_last: int = (1 << 32) - 1
    entry_bytes: int = 4

    def admit(self, address: int) -> Refusal | None:
        return None

    def decode(self, raw: bytes, level: Level) -> Entry:
        word = ToyEntry(int.from_bytes(raw, "little"))
        if not word.V:
            return Entry(EntryKind.INVALID, word, 0, ToyCause.INVALID)
        last = level is LEVELS[-1]
        return Entry(EntryKind.PAGE if last else EntryKind.BLOCK if word.LEAF else EntryKind.TABLE, word, word.address)

    def accept(self, step: Step) -> Refusal | None:
        if step.entry.kind is not EntryKind.INVALID:
            return None
        return _refusal(FaultKind.TRANSLATION, ToyCause.INVALID, step, ToyEntry.V)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:
        if not self.levels:
            return Attributes("plain", "", {ANYBODY: Rights(True, True, True)}, True, None, True, False)
        if not steps or not steps[-1].is_leaf:
            return None
        word = steps[-1].entry.word
        assert isinstance(word, ToyEntry)
        rights = Rights(True, bool(word.W), bool(word.X))
        return Attributes("plain", "", {ANYBODY: rights}, True, None, True, False)


def _refusal(kind: FaultKind, cause: ToyCause, step: Step, field: Field) -> Refusal:
    decider = Decider(cause, "descriptor", field, field.of(step.entry.word), step.pa, step.level.number)
    return Refusal(Fault(kind, 1, step.level.number), decider)


class Toy(Architecture):
    """All of it."""

    registers: Mapping[str, type[Word]] = {"TTB": TTB}
    principal = ("TTB",)
    leaves = (ToyEntry,)
    regime_names = ("toy",)
    privileges = (ANYBODY,)
    pc = "pc"
    general = ("r0", "pc")

    def word(self, name: str, register: ReadRegister) -> Word:
        return self.registers[name](register(name))

    def privilege(self, register: ReadRegister) -> Privilege:
        return ANYBODY

    def state(self, register: ReadRegister) -> int:
        return 0

    def regimes(self, register: ReadRegister, name: str | None = None) -> tuple[Regime, ...]:
        ttb = TTB(register("TTB"))
        return (ToyRegime(ttb.base, LEVELS if ttb.ON else ()),)

    def regime_for(self, register: ReadRegister, address: int, name: str | None = None) -> Regime:
        return self.regimes(register)[0]

    def privileges_of(self, regime: Regime) -> tuple[Privilege, ...]:
        return (ANYBODY,)

    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:
        attributes = walk.attributes
        if walk.refused is not None or attributes is None or walk.leaf is None:
            return walk.refused
        granted = getattr(attributes.rights[ANYBODY], access.kind.label)
        field = {"write": ToyEntry.W, "execute": ToyEntry.X}.get(access.kind.label, ToyEntry.V)
        return None if granted else _refusal(FaultKind.PERMISSION, ToyCause.NOT_GRANTED, walk.leaf, field)


IDENTITY: Final = Identity(
    name="toy",
    title="Toy",
    architecture=lambda: TOY,
    gdb_names=("toy",),
    elf_machine="EM_TOY",
    elf_number=0x7064,
    status=StatusLayout(16 + 8 * 2, 8, 16, Toy.general),
    register_names=re.compile("TTB|r0", re.IGNORECASE),
    constants=re.compile("$^"),
    stub_names={},
    monitor_names={},
    emulator=Emulator("qemu-system-toy", "qemu-system-toy", (), "toy", "toy"),
    vector_groups={},
    debuggers=(),
    examples=Examples("TTB", "0x1001", ("TTB", "0x1001")),
)
Toy.identity = IDENTITY
TOY: Final = Toy()
