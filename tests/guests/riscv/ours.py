"""gdbtools' own answer to an access: by registers and memory alone, as a dump has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gdbtools.addresses import VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Access, AccessKind, Refusal, Walk
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from tests.guests.riscv.rules import ADUE, Hardware, Kind, Touch
from tests.tables import reader

KINDS = {Kind.FETCH: AccessKind.EXECUTE, Kind.LOAD: AccessKind.READ, Kind.STORE: AccessKind.WRITE}
HALVES = {"menvcfg": "menvcfgh", "henvcfg": "henvcfgh", "mseccfg": "mseccfgh", "mstatus": "mstatush"}
"""Of riscv32: what has bits 63 to 32."""


@dataclass(frozen=True)
class Answer:
    """What gdbtools makes of an access; both None where it says that it does not know."""

    cause: int | None
    pa: int | None
    gpa: int = 0
    """Of a guest-page fault, what G-stage was asked for."""
    implicit: bool = False

    def __str__(self) -> str:
        if self.cause is not None:
            return f"cause {self.cause} guest physical address {self.gpa:#x}"
        return f"touches {self.pa:#x}" if self.pa is not None else "not known"


def decoded(bits: int) -> bool:
    """Return whether RISC-V of so many bits is decoded at all."""
    return f"riscv{bits}" in ARCHITECTURES


def registers_of(hardware: Hardware, registers: Mapping[str, int], mstatus: int) -> dict[str, int]:
    """Return the registers by the names that a source has for them."""
    found = {**registers, "mstatus": mstatus}
    if hardware.svadu is None:  # and no bit says so
        found |= {name: found[name] | ADUE for name in ("menvcfg", "henvcfg")}
    if hardware.bits == 32:
        for low, high in HALVES.items():
            found[low], found[high] = found[low] & 0xFFFFFFFF, found[low] >> 32
        found["pmpcfg0"], found["pmpcfg1"] = found["pmpcfg0"] & 0xFFFFFFFF, found["pmpcfg0"] >> 32
    return found


def answer(hardware: Hardware, registers: Mapping[str, int], read: Callable[[int, int], bytes], touch: Touch) -> Answer:
    """Walk, check, and return what the exception's registers would hold."""
    arch = ARCHITECTURES[f"riscv{hardware.bits}"]
    register = reader(registers_of(hardware, registers, touch.mstatus & ~(1 << 17)))
    mode = ("V" if touch.virtual else "") + ("U" if touch.user else "S")
    privilege = next(each for each in arch.privileges if each.label == mode)
    kind = AccessKind.READ_EXECUTABLE if touch.executable else KINDS[touch.kind]
    asked = Access(kind, privilege)
    va = VA(touch.va)
    name = arch.regime_asked(register, privilege, kind)
    regime, access = arch.met_by(arch.regime_for(register, va, name), asked, register)
    try:
        found = walk(regime, va, read)
    except Unreadable:
        return Answer(None, None)
    refusal = arch.check(found, access, arch.state(register))
    if refusal is None:
        destination = (found.final or found).destination
        assert destination is not None
        return Answer(None, destination.address)
    gpa, implicit = _told(found, refusal)
    return Answer(arch.status(refusal.fault, asked), None, gpa, implicit)


def _told(found: Walk, refusal: Refusal) -> tuple[int, bool]:
    """Return what G-stage was asked for when it refused, and whether translation asked for it."""
    if refusal.fault.kind.name == "ACCESS" or refusal.fault.stage == 1:
        return 0, False
    if found.regime.stage != 1 or not refusal.fault.s1ptw:
        final = found.final or found
        return int(final.input), False
    via = found.fetch.via if found.fetch else found.leaf.via if found.leaf else None
    return (int(via.input) if via else 0), True
