"""The instructions that may be borrowed from a guest: fences, returns, loads and stores, of two bytes and of four.

A fence is of its own hart: no instruction reaches another's TLB, which is software's to ask for, by an interrupt.

Source: The RISC-V Privileged Architecture, "Supervisor Memory-Management Fence Instruction", "Trap-Return
Instructions"; The RISC-V Instruction Set Manual, "RV32/64G Instruction Set Listings", "C" extension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import Output
from gdbtools.arch.gadgets import Borrowable, Claim, Extent, Gadgets, GadgetWords, MaintenanceBarrier, Scope, Use
from gdbtools.arch.model import Access, AccessKind, Fault, ReadRegister, optional
from gdbtools.arch.riscv import X
from gdbtools.arch.riscv.exceptions import vectors
from gdbtools.arch.riscv.instructions import hypervisor_accesses
from gdbtools.arch.riscv.instructions.fences import GUEST_ADDRESS_SHIFT
from gdbtools.arch.riscv.instructions.memory import LoadStore, Wide, memory_access
from gdbtools.arch.riscv.privilege_modes import VS, VU, M, S, U
from gdbtools.arch.riscv.registers.catalog import WIDE
from gdbtools.arch.riscv.registers.status import HSTATUS64, MSTATUS64, PRIV
from gdbtools.arch.riscv.registers.translation import HGATP32, HGATP64, SATP32, SATP64
from gdbtools.arch.riscv.translation import regimes
from gdbtools.bits import Field
from gdbtools.errors import Refused


@dataclass(frozen=True, slots=True)
class _Fence:
    """A fence: how it is encoded without operands, and by how much its address is shifted."""

    name: str
    word: int
    shift: int = 0


_OWN: Final = _Fence("sfence.vma", 0x1200_0073)
_FENCES: Final = {
    regimes.GUEST: _Fence("hfence.vvma", 0x2200_0073),
    regimes.GUEST_STAGE: _Fence("hfence.gvma", 0x6200_0073, GUEST_ADDRESS_SHIFT),
}
_SRET: Final = 0x1020_0073
_ALL: Final = 0xFFFF_FFFF
_ALL_COMPACT: Final = 0xFFFF
_RS1, _RS2 = Wide.rs1.mask, Wide.rs2.mask
_LOAD_OPCODE, _STORE_OPCODE = 0x03, 0x23
_WIDE_KIND: Final = Field((14, 12), (6, 0))
"""funct3 and the opcode."""
_COMPACT_KIND: Final = Field((15, 13), (1, 0))
_READ, _WRITE = AccessKind.READ, AccessKind.WRITE
_LOADS: Final = (0b000, 0b100, 0b001, 0b101, 0b010, 0b110, 0b011)
_STORES: Final = (0b000, 0b001, 0b010, 0b011)
_COMPACT_LOADS, _COMPACT_STORES = (0b010, 0b011), (0b110, 0b111)
_NO_TRANSLATION: Final = "RISC-V has no instruction that translates without an access; ask by a load"
_TO_VS: Final = "a fault here is taken in VS-mode, which no register tells from S-mode; ask in the hypervisor"
_MACHINE: Final = 3
_SUPERVISOR: Final = 1


class Borrowed(Gadgets):
    """What may be borrowed of harts where MXLEN is `bits`."""

    words = GadgetWords("sfence.vma", "sret")
    alignment_bytes = 2
    returns = (Borrowable(_ALL, _SRET, lambda word: Use("sret", {}), size_bytes=4),)  # noqa: ARG005
    overwritten = (
        *("scause", "stval", "sepc", "sstatus", "htval", "hstatus"),
        *("mcause", "mtval", "mepc", "mstatus", "mstatush", "mtval2", "mtinst", "priv"),
    )
    # QEMU from 7.2 to 11.1 does nothing for a write of it, the guest's own included.
    left = ("htinst",)

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def barriers(self) -> Sequence[MaintenanceBarrier]:
        """A fence is its own barrier."""
        return ()

    def invalidations(self, scope: Scope, register: ReadRegister, regime: str | None = None) -> Sequence[Borrowable]:
        _may_fence(register)
        kind = _FENCES.get(regime or "", _OWN) if regime is not None and self.reaches(register, regime) else _OWN
        # A second choice, but where everything is what was asked for.
        rank = int(scope.extent is not Extent.ALL)
        everything = _fence(kind, Extent.ALL, 0, lambda word: Use(kind.name, {}), rank)  # noqa: ARG005
        if scope.extent is Extent.ADDRESS:
            operand = scope.value >> kind.shift
            return [_fence(kind, Extent.ADDRESS, _RS1, _use_fence(kind, Wide.rs1, operand), 0), everything]
        if scope.extent is Extent.ADDRESS_SPACE:
            return [_fence(kind, Extent.ADDRESS_SPACE, _RS2, _use_fence(kind, Wide.rs2, scope.value), 0), everything]
        return [everything]

    def reaches(self, register: ReadRegister, regime: str) -> bool:
        """A hypervisor's fences are of the guest in hgatp.VMID: of its own tables, and of those that lead it on."""
        return regime in _FENCES and regimes.privilege(register) in (S, M) and bool(optional(register, "hgatp"))

    def address_space_bits(self, register: ReadRegister, regime: str | None = None) -> int:  # noqa: ARG002
        """As many as the field of satp, or of hgatp, has: how many of them a hart has is in no register."""
        wide = self.bits == WIDE
        if regime == regimes.GUEST_STAGE:
            return (HGATP64.VMID if wide else HGATP32.VMID).width
        return (SATP64.ASID if wide else SATP32.ASID).width

    def accesses(self, access: Access, address: int, register: ReadRegister) -> Sequence[Borrowable]:  # noqa: ARG002
        if access.kind not in (_READ, _WRITE):
            raise Refused("an execution cannot be tried without doing what is there; ask for read or write")
        if access.unprivileged:
            raise Refused("no load here is checked as a user's; stop in user mode and ask there")
        loads = access.kind is _READ
        wide = [
            Borrowable(
                _WIDE_KIND.mask, _WIDE_KIND.into(0, funct3 << 7 | opcode), self._use(address), rank, size_bytes=4
            )
            for opcode, kinds in ((_LOAD_OPCODE, _LOADS), (_STORE_OPCODE, _STORES))
            for funct3 in kinds
            if (opcode == _LOAD_OPCODE) is loads and not address % (1 << (rank := funct3 & 3))
        ]
        compact = [
            Borrowable(_COMPACT_KIND.mask, _COMPACT_KIND.into(0, funct3 << 2), self._use(address), rank, size_bytes=2)
            for funct3 in (_COMPACT_LOADS if loads else _COMPACT_STORES)
            if not address % (1 << (rank := funct3 & 3)) and (self.bits == WIDE or rank < 3)
        ]
        return [*wide, *compact]

    def accesses_as(self, access: Access, address: int, register: ReadRegister, regime: str) -> Sequence[Borrowable]:
        """HLV, HLVX and HSV, by which a hypervisor accesses memory as its guest, through both stages."""
        return hypervisor_accesses.borrowed(access, address, register, regime, self.bits)

    def _use(self, address: int) -> Callable[[int], Use | None]:
        def use(word: int) -> Use | None:
            found = memory_access(word, self.bits)
            return None if found is None else _moved(found, address, self.bits)

        return use

    def translations(self, access: Access, address: int, register: ReadRegister) -> Sequence[Borrowable]:  # noqa: ARG002
        raise Refused(_NO_TRANSLATION)

    def translated(self, address: int, register: ReadRegister) -> Output | Fault:  # noqa: ARG002
        raise Refused(_NO_TRANSLATION)

    def entered(self, register: ReadRegister, regime: str | None = None) -> Sequence[ReadRegister]:
        takers = vectors.takers(register, regimes.current(register))
        if regime is not None:
            takers = sorted({*takers, *vectors.takers_of_guest_page_faults(register)})
        if VS in takers:
            raise Refused(
                "a fault here is taken in VS-mode, which no register tells from S-mode; ask in the hypervisor"
            )
        return [_entered(register, _MACHINE if level == M else _SUPERVISOR) for level in takers]

    def claim(self, register: ReadRegister) -> Claim | None:  # noqa: ARG002
        """What a trap overwrites is put back: this stub lets it be written."""
        return None


def _wide(funct3: int, opcode: int) -> int:
    return _WIDE_KIND.into(0, funct3 << 7 | opcode)


def _fence(kind: _Fence, extent: Extent, free: int, use: Callable[[int], Use | None], rank: int) -> Borrowable:
    return Borrowable(_ALL & ~free, kind.word, use, rank, extent, broadcast=False, size_bytes=4)


def _use_fence(kind: _Fence, operand: Field, value: int) -> Callable[[int], Use | None]:
    """x0 as an operand is everything: that is another fence."""

    def use(word: int) -> Use | None:
        number = operand.of(word)
        wide = Wide(word)
        return Use(f"{kind.name} {X[wide.rs1]}, {X[wide.rs2]}", {X[number]: value}) if number else None

    return use


def _moved(found: LoadStore, address: int, bits: int) -> Use | None:
    """Return how a load or store is used; what is stored must not be the base, and what is loaded is kept somewhere."""
    register, base = found.register, found.base
    if not base or not register or found.offset is None or found.size_bytes is None:
        return None
    if _WRITE in found.kinds and register == base:
        return None
    first = address - found.offset & (1 << bits) - 1
    text = f"{found.name} {X[register]}, {found.offset}({X[base]})"
    return Use(text, {X[base]: first}, X[register], found.size_bytes)


def _may_fence(register: ReadRegister) -> None:
    mode = regimes.privilege(register)
    if mode in (U, VU):
        raise Refused(
            f"the hart is in {mode.label}-mode, which may not invalidate a TLB; stop in the kernel and ask again"
        )
    if mode == S and MSTATUS64(optional(register, "mstatus") or 0).TVM:
        raise Refused("mstatus.TVM traps this kernel's fences to M-mode; ask there")
    if mode == VS and HSTATUS64(optional(register, "hstatus") or 0).VTVM:
        raise Refused("hstatus.VTVM traps this guest's sfence.vma to the hypervisor; ask there")


def _entered(register: ReadRegister, nominal: int) -> ReadRegister:
    """Return the registers as a trap would have them: the mode, and that it came from this one."""
    now = PRIV(register("priv")).prv

    def read(name: str) -> int:
        if name == "priv":
            return nominal
        value = register(name)
        if name == "hstatus":
            return int(HSTATUS64(value).with_(SPV=0))
        if name == "sstatus":
            return int(MSTATUS64(value).with_(SPP=now & 1, SIE=0))
        return int(MSTATUS64(value).with_(MPP=now, MIE=0)) if name == "mstatus" else value

    return read
