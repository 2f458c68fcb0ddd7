"""A RISC-V to ask: registers and memory made bit by bit, so that no Field of ours can hide its own mistake."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gdbtools.addresses import VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Access, AccessKind, Mapped, Privilege, Refusal, Regime, Walk
from gdbtools.arch.riscv.privilege_modes import MODES
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from tests.tables import reader

KINDS = {
    "read": AccessKind.READ,
    "write": AccessKind.WRITE,
    "fetch": AccessKind.EXECUTE,
    "hlvx": AccessKind.READ_EXECUTABLE,
}
RAM, RAM_END = 0x8000_0000, 0x9000_0000
V, R, W, X, U, G, A, D = (1 << n for n in range(8))
AD = A | D
BARE, SV39, SV48, SV57 = 0, 8, 9, 10
ADUE, PBMTE, SSE = 1 << 61, 1 << 62, 1 << 3
SUM, MXR = 1 << 18, 1 << 19


def pte(pa: int, flags: int) -> int:
    """Return an entry: its page number at bit 10."""
    return pa >> 12 << 10 | flags


def mode_of(name: str) -> Privilege:
    return next(each for each in MODES if each.label.lower() == name)


@dataclass
class Hart:
    """Registers and memory; what is not put there is 0, and outside of RAM nothing can be read."""

    regs: dict[str, int] = field(default_factory=dict)
    memory: dict[int, int] = field(default_factory=dict)
    xlen: int = 64

    def read(self, pa: int, size_bytes: int) -> bytes:
        if not RAM <= pa <= RAM_END - size_bytes:
            raise Unreadable(pa, size_bytes, "there is no memory")
        step = self.xlen // 8
        words = [self.memory.get(at, 0).to_bytes(step, "little") for at in range(pa, pa + size_bytes, step)]
        return b"".join(words)

    def load(self, pa: int, size_bytes: int) -> int:
        return int.from_bytes(self.read(pa, size_bytes), "little")

    def put(self, table: int, index: int, entry: int) -> None:
        self.memory[table + index * (self.xlen // 8)] = entry

    @property
    def architecture(self) -> Any:
        return ARCHITECTURES[f"riscv{self.xlen}"]

    def ask(self, va: int, kind: str, mode: str) -> tuple[Walk, Refusal | None, Access]:
        """Walk as `walk --access KIND --privilege MODE` does."""
        register = reader(self.regs)
        asking = Access(KINDS[kind], mode_of(mode))
        name = self.architecture.regime_asked(register, asking.privilege, asking.kind)
        regime: Regime = self.architecture.regime_for(register, VA(va), name)
        regime, met = self.architecture.met_by(regime, asking, register)
        found = walk(regime, VA(va), self.read)
        return found, self.architecture.check(found, met, 0), asking

    def outcome(self, va: int, kind: str, mode: str) -> tuple[str, int]:
        """Return ("fault", scause) or ("mapped", physical address)."""
        found, refused, asking = self.ask(va, kind, mode)
        if refused is not None:
            code = self.architecture.status(refused.fault, asking)
            assert code is not None, "an access was asked about"
            return "fault", code
        mapped = found.outcome
        assert isinstance(mapped, Mapped)
        return "mapped", mapped.address

    def cause(self, va: int, kind: str = "read", mode: str = "s") -> str:
        """Return the name of what refuses, and of the field and the register that decided; empty for nothing."""
        _, refused, _ = self.ask(va, kind, mode)
        if refused is None:
            return ""
        return f"{refused.decider.cause.name} {refused.decider.holder}.{refused.decider.field.name}"


def paged(flags: int, mode: int = SV39, level: int = 0, pa: int = RAM + 0x40_0000, **regs: int) -> Hart:
    """Return a hart whose page (or superpage) at the virtual address 0 has these flags."""
    hart = Hart({"satp": mode << 60 | RAM >> 12, "menvcfg": PBMTE, "mstatus": 0, "priv": 1, **regs})
    deepest = {SV39: 2, SV48: 3, SV57: 4}[mode]
    for number in range(deepest, level, -1):
        table = RAM + (deepest - number) * 0x1000
        hart.put(table, 0, pte(table + 0x1000, V))
    hart.put(RAM + (deepest - level) * 0x1000, 0, pte(pa, flags))
    return hart


def guest(flags: int, guest_flags: int = V | R | W | X | U | AD, tables: int | None = None, **regs: int) -> Hart:
    """Return a hart with a guest, Sv39 through Sv39x4: its page at 0 has these flags, and leads to the GPA 0x3000.

    The guest's tables are at the GPAs 0x0 to 0x2fff; `guest_flags` are those of the page that GPA 0x3000 leads to, and
    `tables` those of the pages that its tables are in.
    """
    hart = Hart(
        {
            "satp": 0, "vsatp": SV39 << 60, "hgatp": SV39 << 60 | RAM >> 12, "menvcfg": PBMTE, "henvcfg": PBMTE,
            "mstatus": 0, "vsstatus": 0, "hstatus": 0, "priv": 1, "virt": 1, **regs,
        }
    )  # fmt: skip
    hart.put(RAM, 0, pte(RAM + 0x4000, V))
    hart.put(RAM + 0x4000, 0, pte(RAM + 0x5000, V))
    for page in range(3):
        hart.put(RAM + 0x5000, page, pte(RAM + 0x10000 + page * 0x1000, guest_flags if tables is None else tables))
    hart.put(RAM + 0x5000, 3, pte(RAM + 0x20000, guest_flags))
    hart.put(RAM + 0x10000, 0, pte(0x1000, V))
    hart.put(RAM + 0x11000, 0, pte(0x2000, V))
    hart.put(RAM + 0x12000, 0, pte(0x3000, flags))
    return hart
