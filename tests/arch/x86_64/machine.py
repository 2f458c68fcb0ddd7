"""An x86 to ask: registers and memory made bit by bit, so that no Field of ours can hide its own mistake."""

from __future__ import annotations

from dataclasses import dataclass, field

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Access, AccessKind, Attributes, FaultKind, Mapped, Refusal, Regime, Walk, written_down
from gdbtools.arch.walk import walk
from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.arch.x86_64.privileges import SUPERVISOR, USER
from gdbtools.bits import Word
from gdbtools.errors import Unreadable

KINDS = {
    "read": AccessKind.READ,
    "write": AccessKind.WRITE,
    "fetch": AccessKind.EXECUTE,
    "shadow-stack-read": AccessKind.SHADOW_STACK_READ,
}
WHO = {"user": USER, "supervisor": SUPERVISOR}
P, RW, US, PWT, PCD, A, D, PS, G = (1 << n for n in range(9))
NX = 1 << 63
ROOT, MEMORY_BYTES = 0x1000, 0x10000
PE, WP, PG = 1 << 0, 1 << 16, 1 << 31
PSE, PAE, PGE, LA57, PCIDE, SMEP, SMAP, PKE, CET, PKS, LAM_SUP = (
    1 << n for n in (4, 5, 7, 12, 17, 20, 21, 22, 23, 24, 28)
)
LME, LMA, NXE = 1 << 8, 1 << 10, 1 << 11
AC, VM = 1 << 18, 1 << 17
LAM_U57, LAM_U48 = 1 << 61, 1 << 62
WIDTH = 40
"""MAXPHYADDR, where nothing else is said."""


@dataclass
class Cpu:
    """Registers and memory; what is not put there is 0, and beyond the first pages nothing can be read."""

    regs: dict[str, int]
    memory: dict[int, int] = field(default_factory=dict)
    entry_bytes: int = 8

    def read(self, pa: PA, size_bytes: int) -> bytes:
        if pa + size_bytes > MEMORY_BYTES:
            raise Unreadable(pa, size_bytes, "there is no memory")
        return self.memory.get(pa, 0).to_bytes(size_bytes, "little")

    def regime(self, address: int = 0) -> Regime:
        return X86_64.regime_for(written_down(self.regs), VA(address))

    def walked(self, address: int = 0) -> Walk:
        return walk(self.regime(address), VA(address), self.read)

    def ask(self, address: int, kind: str, who: str) -> tuple[Walk, Refusal | None, int | None]:
        """Walk as `walk --access KIND --privilege WHO` does; gives the error code too."""
        register = written_down(self.regs)
        access = Access(KINDS[kind], WHO[who])
        regime, met = X86_64.met_by(X86_64.regime_for(register, VA(address)), access, register)
        found = walk(regime, VA(address), self.read)
        refused = X86_64.check(found, met, X86_64.state(register))
        if refused is None:
            return found, None, None
        fault = refused.fault
        assert fault.stage == 1, "there is no other"
        code = X86_64.status(fault, access, found)
        assert (code is None) == (fault.kind is FaultKind.GENERAL_PROTECTION)
        return found, refused, code

    def outcome(self, address: int = 0, kind: str = "read", who: str = "supervisor") -> tuple[str, int | None]:
        """Return ("fault", the error code or None for #GP) or ("mapped", physical address)."""
        found, refused, code = self.ask(address, kind, who)
        if refused is not None:
            return "fault", code
        assert isinstance(found.outcome, Mapped)
        return "mapped", found.outcome.address

    def cause(self, address: int = 0, kind: str = "read", who: str = "supervisor") -> str:
        """Return what refuses, the register or descriptor and the bit that decided, and the level; empty: nothing."""
        found, refused, _ = self.ask(address, kind, who)
        if refused is None:
            return ""
        decider, level = refused.decider, refused.fault.level
        if decider.holder == "descriptor":
            assert decider.pa in [step.pa for step in found.steps if step.level.number == decider.level == level]
        where = "" if level is None else f" at level {level}"
        return f"{decider.cause.name} {decider.holder}{decider.field.position}={decider.value}{where}"

    def attributes(self, address: int = 0) -> Attributes:
        found = self.walked(address).attributes
        assert found is not None
        return found

    def rights(self, address: int = 0) -> tuple[str, str]:
        """Return what the map shows of user mode and of supervisor mode."""
        rights = self.attributes(address).rights
        return str(rights[USER]), str(rights[SUPERVISOR])


def positions(layout: type[Word]) -> dict[str, str]:
    """Return where a register or an entry has its fields, as `63:12` or `5`."""
    return {field.name: field.position.strip("[]") for field in layout.fields()}


def long_mode(levels: int = 4, **regs: int) -> dict[str, int]:
    return {
        "cr0": PG | WP | PE, "cr3": ROOT, "cr4": PAE | (LA57 if levels == 5 else 0), "efer": NXE | LMA | LME,
        "maxphyaddr": WIDTH, "cs": 0x10, "eflags": 2, **regs,
    }  # fmt: skip


def paged(leaf: int, upper: int = P | RW | US, level: int = 1, levels: int = 4, **regs: int) -> Cpu:
    """Return a CPU in long mode whose entry of this level for the address 0 is `leaf`, and those above all alike.

    `cr4` comes beside what long mode needs.
    """
    made = long_mode(levels)
    cpu = Cpu(made | regs | {"cr4": made["cr4"] | regs.get("cr4", 0)})
    for number in range(levels, level, -1):
        table = ROOT + (levels - number) * 0x1000
        cpu.memory[table] = table + 0x1000 | upper
    cpu.memory[ROOT + (levels - level) * 0x1000] = leaf
    return cpu


def paged_pae(leaf: int, upper: int = P | RW | US, level: int = 1, pointer: int = P, **regs: int) -> Cpu:
    """The same in PAE paging, whose first level has no rights: `pointer` is all of its entry but the address."""
    cpu = Cpu(long_mode(efer=NXE) | {"cr4": PAE} | regs)
    cpu.memory |= {ROOT: 0x2000 | pointer, 0x2000: 0x3000 | upper, 0x3000: leaf}
    if level == 2:
        cpu.memory[0x2000] = leaf
    return cpu


def paged_32(leaf: int, upper: int = P | RW | US, level: int = 1, **regs: int) -> Cpu:
    """The same in 32-bit paging."""
    cpu = Cpu(long_mode(efer=NXE) | {"cr4": PSE} | regs, entry_bytes=4)
    cpu.memory |= {ROOT: leaf} if level == 2 else {ROOT: 0x2000 | upper, 0x2000: leaf}
    return cpu
