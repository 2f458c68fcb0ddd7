"""The A64 instructions that may be borrowed from a guest, as data: what they match, and where their operands are.

Source: DDI 0487, "Loads and Stores", "System instruction class encoding overview", "Barriers and CLREX encodings",
"TLB maintenance instructions", "Address translation instructions".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gdbtools.addresses import VA, Output
from gdbtools.arch.aarch64.exceptions import record
from gdbtools.arch.aarch64.instructions import address_translation
from gdbtools.arch.aarch64.instructions.system_instructions import Operation, assembly, encodings
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.registers.translation import TCR_EL1, TTBR
from gdbtools.arch.gadgets import Borrowable, Claim, Extent, Gadgets, GadgetWords, MaintenanceBarrier, Scope, Use
from gdbtools.arch.model import Access, AccessKind, Fault, ReadRegister, optional
from gdbtools.bits import Field, Word
from gdbtools.errors import Refused, Unavailable

_ERET: Final = 0xD69F03E0
_SYSTEM: Final = 0b11010101000
"""What MSR and SYS begin with, before their op0."""
_SYS: Final = _SYSTEM << 2 | 0b01
_ISB: Final = 0xD5033FDF
_ALL: Final = 0xFFFF_FFFF
INSTRUCTION_BYTES: Final = 4
_X31: Final = 31
"""XZR as an operand; as a base it is SP."""


class SystemInstruction(Word):
    """`SYS` or `MSR`: an operation and one register."""

    width = 32
    fixed = Field((31, 19), doc="0b1101010100001 for SYS; the last two bits are op0")
    op1 = Field((18, 16), doc="operation, op1")
    CRn = Field((15, 12), doc="operation, CRn")
    CRm = Field((11, 8), doc="operation, CRm")
    op2 = Field((7, 5), doc="operation, op2")
    Rt = Field((4, 0), doc="operand")


class Barrier(Word):
    """`DSB`: CRm says for whom, and for which accesses."""

    width = 32
    fixed = Field((31, 12), doc="a barrier")
    CRm = Field((11, 8), doc="domain and accesses", values={0b1011: "ISH", 0b1111: "SY"})
    op2 = Field((7, 5), doc="which barrier", values={0b100: "DSB", 0b110: "ISB"})
    Rt = Field((4, 0), doc="0b11111")


class UnsignedOffset(Word):
    """A load or store of `[Xn, #imm12 * size]`."""

    width = 32
    opcode = Field((31, 22), doc="size and operation")
    imm12 = Field((21, 10), doc="offset, in units of the access")
    Rn = Field((9, 5), doc="base")
    Rt = Field((4, 0), doc="transferred")


class Unscaled(Word):
    """A load or store of `[Xn, #imm9]`: unscaled, or unprivileged."""

    width = 32
    opcode = Field((31, 21), doc="size and operation")
    imm9 = Field((20, 12), doc="offset, signed")
    form = Field((11, 10), doc="how it is meant", values={0b00: "unscaled", 0b10: "unprivileged"})
    Rn = Field((9, 5), doc="base")
    Rt = Field((4, 0), doc="transferred")

    @property
    def offset(self) -> int:
        return self.imm9 - (self.imm9 >> 8 << 9)


@dataclass(frozen=True, slots=True)
class _Transfer:
    """One load or store: its bits but for offset and registers."""

    name: str
    bits: int
    size_bytes: int
    kind: AccessKind
    layout: type[UnsignedOffset] | type[Unscaled]
    unprivileged: bool = False


_READ, _WRITE = AccessKind.READ, AccessKind.WRITE
_TRANSFERS: Final = (
    _Transfer("LDRB", 0x39400000, 1, _READ, UnsignedOffset),
    _Transfer("LDURB", 0x38400000, 1, _READ, Unscaled),
    _Transfer("LDRH", 0x79400000, 2, _READ, UnsignedOffset),
    _Transfer("LDR", 0xB9400000, 4, _READ, UnsignedOffset),
    _Transfer("LDR", 0xF9400000, 8, _READ, UnsignedOffset),
    _Transfer("LDTRB", 0x38400800, 1, _READ, Unscaled, True),
    _Transfer("LDTRH", 0x78400800, 2, _READ, Unscaled, True),
    _Transfer("LDTR", 0xB8400800, 4, _READ, Unscaled, True),
    _Transfer("LDTR", 0xF8400800, 8, _READ, Unscaled, True),
    _Transfer("STRB", 0x39000000, 1, _WRITE, UnsignedOffset),
    _Transfer("STURB", 0x38000000, 1, _WRITE, Unscaled),
    _Transfer("STRH", 0x79000000, 2, _WRITE, UnsignedOffset),
    _Transfer("STR", 0xB9000000, 4, _WRITE, UnsignedOffset),
    _Transfer("STR", 0xF9000000, 8, _WRITE, UnsignedOffset),
    _Transfer("STTRB", 0x38000800, 1, _WRITE, Unscaled, True),
    _Transfer("STTRH", 0x78000800, 2, _WRITE, Unscaled, True),
    _Transfer("STTR", 0xB8000800, 4, _WRITE, Unscaled, True),
    _Transfer("STTR", 0xF8000800, 8, _WRITE, Unscaled, True),
)
"""Those that leave their base alone and touch memory once: none with write-back, of pairs, exclusive or ordered."""

_UNPRIVILEGED: Final = 0x3F20_0C00, 0x3800_0800
"""Mask and match of "Load/store register (unprivileged)": LDTR and STTR of every size."""


def is_unprivileged(instruction: int) -> bool:
    """Return whether an instruction is checked as EL0's, as far as PSTATE.UAO lets it be."""
    mask, match = _UNPRIVILEGED
    return instruction & mask == match


_DISCARDED: Final = frozenset((0, 7, 6, op2) for op2 in (1, 3, 5))
"""DC IVAC, DC IGVAC, DC IGDVAC, by (op1, CRn, CRm, op2)."""
_TAKEN_AWAY: Final = frozenset(((3, 7, 5, 1), *((3, 7, 14, op2) for op2 in (1, 3, 5))))
"""IC IVAU, DC CIVAC, DC CIGVAC, DC CIGDVAC: those that "SCTLR_EL1.CMOW" and "HCRX_EL2.CMOW" name."""


def maintenance(instruction: int) -> AccessKind:
    """Return which kind of cache maintenance an instruction is."""
    word = SystemInstruction(instruction)
    operation = word.op1, word.CRn, word.CRm, word.op2
    if word.fixed == _SYS and operation in _DISCARDED:
        return AccessKind.INVALIDATION
    if word.fixed == _SYS and operation in _TAKEN_AWAY:
        return AccessKind.CLEAN_INVALIDATION
    return AccessKind.MAINTENANCE


# TLBI, the most precise first: names without their shareability, by what is asked for.
_Names = Mapping[Extent, Sequence[str]]
_TLBI_EL1: Final[_Names] = {
    Extent.ADDRESS: ("VAE1", "VAAE1"),
    Extent.ADDRESS_SPACE: ("ASIDE1",),
    Extent.ALL: ("VMALLE1",),
}
_TLBI_EL2: Final[_Names] = {Extent.ADDRESS: ("VAE2",), Extent.ALL: ("ALLE2",)}
_BROADCAST: Final = ("IS", "OS")
ADDRESS_BITS: Final = Field((55, 12), doc="what of an address a TLBI's operand has")
OPERAND_ADDRESS: Final = Field((43, 0), doc="VA[55:12]")
OPERAND_ASID: Final = Field((63, 48), doc="ASID")


ISB: Final = Borrowable(_ALL, _ISB, lambda word: Use("ISB", {}), size_bytes=INSTRUCTION_BYTES)  # noqa: ARG005


class A64(Gadgets):
    """What of A64 may be borrowed."""

    words = GadgetWords("TLBI", "eret", "AT", "PAR_EL1")
    alignment_bytes = INSTRUCTION_BYTES
    returns = (Borrowable(_ALL, _ERET, lambda word: Use("ERET", {}), size_bytes=INSTRUCTION_BYTES),)  # noqa: ARG005

    def barriers(self) -> Sequence[MaintenanceBarrier]:
        dsb = Barrier(_ISB).with_(op2=0b100, CRm=0)
        mask = _ALL & ~Barrier.CRm.mask
        waits = Borrowable(mask, dsb, _use_barrier, size_bytes=INSTRUCTION_BYTES)
        # "TLB maintenance requirements and the TLB maintenance instructions": the descriptor's store, DSB, TLBI, DSB,
        # which waits for all CPUs, and ISB where this one is to notice.
        return (
            MaintenanceBarrier("DSB", (waits,), before=True, after=True, completes=True),
            MaintenanceBarrier("ISB", (ISB,), before=False, after=True, completes=False),
        )

    def invalidations(self, scope: Scope, register: ReadRegister, regime: str | None = None) -> Sequence[Borrowable]:  # noqa: ARG002
        el = SPSR(register("cpsr")).el
        hcr = HCR_EL2(optional(register, "HCR_EL2") or 0)
        if el == 0:
            raise Refused("the CPU is at EL0, which may not invalidate a TLB; stop in the kernel and ask again")
        if el == 3:
            raise Refused("the CPU is at EL3; what it invalidates there is not the guest's; stop at EL1 or EL2")
        if el == 1 and (hcr.TTLB or hcr.TTLBIS or hcr.TTLBOS):
            raise Refused("HCR_EL2 traps this guest's TLBI to EL2 (TTLB, TTLBIS or TTLBOS); stop at EL2 and ask there")
        names = [_TLBI_EL2] if el == 2 else [_TLBI_EL1]
        if el == 2 and hcr.E2H and hcr.TGE:
            # "TLB maintenance instructions": those of EL1 are then about EL2&0.
            names.append(_TLBI_EL1)
        if scope.extent is Extent.ADDRESS_SPACE and names == [_TLBI_EL2]:
            raise Refused("the EL2 regime has no ASID; invalidate an address, or all")
        asid = current_asid(register, el) if scope.extent is Extent.ADDRESS else scope.value
        found: list[Borrowable] = []
        for each in names:
            wider = list(dict.fromkeys((scope.extent, Extent.ALL)))
            for extent in wider:
                for name in each.get(extent, ()):
                    for shareability in (*_BROADCAST, ""):
                        # Broadcast first, then precision: what another CPU goes on with is not repaired.
                        rank = wider.index(extent) + (0 if shareability else len(wider))
                        operand = _operand(extent, scope.value, asid)
                        found.append(_tlbi(f"TLBI {name}{shareability}", operand, rank, extent, bool(shareability)))
        return found

    def address_space_bits(self, register: ReadRegister, regime: str | None = None) -> int:  # noqa: ARG002
        """TCR_ELx.AS says how much of an ASID counts; no TLBI is made at EL0 and EL3, and EL2 alone has none."""
        el = SPSR(register("cpsr")).el
        if el not in (1, 2) or (el == 2 and not HCR_EL2(optional(register, "HCR_EL2") or 0).E2H):
            return 0
        return 16 if TCR_EL1(register(f"TCR_EL{el}")).AS else 8

    def accesses(self, access: Access, address: VA, register: ReadRegister) -> Sequence[Borrowable]:
        state = SPSR(register("cpsr"))
        _only_a64(state)
        if access.kind not in (_READ, _WRITE):
            raise Refused("an execution cannot be tried without doing what is there; ask for read or write")
        if access.unprivileged and not state.el:
            raise Refused("at EL0 every access is unprivileged; ask without --unprivileged")
        return [
            _transfer(each, address)
            for each in _TRANSFERS
            if each.kind is access.kind and each.unprivileged == access.unprivileged and not address % each.size_bytes
        ]

    def translations(self, access: Access, address: VA, register: ReadRegister) -> Sequence[Borrowable]:
        state = SPSR(register("cpsr"))
        hcr = HCR_EL2(optional(register, "HCR_EL2") or 0)
        if access.kind not in (_READ, _WRITE):
            raise Refused("AT asks about reads and writes; no instruction asks about execution")
        if state.el not in (1, 2):
            raise Refused(f"the CPU is at EL{state.el}, where AT is not available; stop at EL1 or EL2")
        if state.el == 1 and hcr.AT:
            raise Refused("HCR_EL2.AT traps this guest's AT to EL2; ask by a load, or stop at EL2")
        regime = 1 if state.el == 1 or access.unprivileged else 2
        if state.el == 2 and access.unprivileged and not (hcr.E2H and hcr.TGE):
            raise Refused("at EL2 an unprivileged AT is about a guest, not about EL2; ask without --unprivileged")
        kind = "R" if access.kind is _READ else "W"
        operation = encodings()[f"AT S1E{0 if access.unprivileged else regime}{kind}"]
        return [system(operation, address)]

    def translated(self, address: VA, register: ReadRegister) -> Output | Fault:
        found = address_translation.result(register("PAR_EL1"), address)
        if found is None:
            raise Unavailable(f"PAR_EL1 {register('PAR_EL1'):#x} has a reserved fault status; ask by a load")
        return found

    def entered(self, register: ReadRegister, regime: str | None = None) -> Sequence[ReadRegister]:  # noqa: ARG002
        level = record.target(register)
        levels = [level, 2] if level == 1 and HCR_EL2(optional(register, "HCR_EL2") or 0).VM else [level]
        return [_at(register, each) for each in levels]

    def claim(self, register: ReadRegister) -> Claim | None:
        """An interrupt that is not masked may overwrite ELR and SPSR at any time, so nobody counts on them."""
        state = SPSR(register("cpsr"))
        if not state.el:
            return None
        pc, base = register("pc"), min(record.vectors(register))
        names = f"ESR, FAR, ELR and SPSR of EL{state.el}"
        if base <= pc < base + VECTORS_BYTES:
            return Claim(f"pc {pc:#x} is in the exception vectors, where {names} are those of an exception", True)
        if state.A and state.I and state.F:
            return Claim(f"interrupts are masked at EL{state.el}, so {names} may not have been saved yet", False)
        return None


VECTORS_BYTES: Final = 0x800


def _at(register: ReadRegister, el: int) -> ReadRegister:
    # SP_ELx, everything masked: "Exception entry".
    state = int(SPSR(register("cpsr")).with_(M=el << 2 | 1, D=1, A=1, I=1, F=1))
    return lambda name: state if name == "cpsr" else register(name)


def _only_a64(state: SPSR) -> None:
    if state.M & 0b10000:
        raise Refused("the CPU is in AArch32, and only A64 instructions are borrowed; stop in AArch64 code")


def _use_barrier(word: int) -> Use | None:
    """Decline what does not wait for all accesses of at least the Inner Shareable domain."""
    named = Barrier.CRm.meaning(Barrier(word).CRm)
    return Use(f"DSB {named}", {}) if named else None


def current_asid(register: ReadRegister, el: int) -> int:
    """Return the current ASID: TCR_ELx.A1 says whose; EL2 alone has none."""
    if el == 2 and not HCR_EL2(optional(register, "HCR_EL2") or 0).E2H:
        return 0
    upper = TCR_EL1(register(f"TCR_EL{el}")).A1
    return TTBR(register(f"TTBR{upper}_EL{el}")).ASID


def _operand(extent: Extent, value: int, asid: int) -> int | None:
    """Return a TLBI's operand; TTL is 0, any level."""
    if extent is Extent.ALL:
        return None
    address = OPERAND_ADDRESS.into(0, ADDRESS_BITS.of(value)) if extent is Extent.ADDRESS else 0
    return OPERAND_ASID.into(address, asid)


def _tlbi(name: str, operand: int | None, rank: int, extent: Extent, broadcast: bool) -> Borrowable:
    made = system(encodings()[name], operand)
    return replace(made, rank=rank, extent=extent, broadcast=broadcast)


def system(operation: Operation, operand: int | None) -> Borrowable:
    """Return the `SYS` or the `MSR` of an operation, given its operand; None for a `SYS` that has none."""
    named = {name: getattr(operation, name) for name in operation._fields[1:]}
    word = SystemInstruction(0).with_(fixed=_SYSTEM << 2 | operation.op0, **named)

    def use(found: int) -> Use | None:
        rt = SystemInstruction(found).Rt
        if operand is None:
            # FEAT_TLBID gives a broadcast one an operand; only without is it known to be about everything.
            return Use(assembly(operation, False, rt), {}) if rt == _X31 else None
        if rt == _X31:
            return None
        return Use(assembly(operation, False, rt), {f"x{rt}": operand})

    return Borrowable(_ALL & ~SystemInstruction.Rt.mask, word, use, size_bytes=INSTRUCTION_BYTES)


def _transfer(each: _Transfer, address: VA) -> Borrowable:
    layout = each.layout
    free = layout.Rn.mask | layout.Rt.mask
    free |= UnsignedOffset.imm12.mask if layout is UnsignedOffset else Unscaled.imm9.mask
    rank = each.size_bytes.bit_length() - 1
    return Borrowable(_ALL & ~free, each.bits, _use_transfer(each, address), rank, size_bytes=INSTRUCTION_BYTES)


def _use_transfer(each: _Transfer, address: VA) -> Callable[[int], Use | None]:
    def use(word: int) -> Use | None:
        found = each.layout(word)
        offset = found.imm12 * each.size_bytes if isinstance(found, UnsignedOffset) else found.offset
        # SP has rules of its own; what is stored must not be the base, and what is loaded must be kept somewhere.
        if _X31 in (found.Rn, found.Rt) or (each.kind is _WRITE and found.Rn == found.Rt):
            return None
        base = address - offset & (1 << 64) - 1
        where = f"[X{found.Rn}" + (f", #{offset}]" if offset else "]")
        name = f"{each.name} {'X' if each.size_bytes == 8 else 'W'}{found.Rt}, {where}"
        return Use(name, {f"x{found.Rn}": base}, f"x{found.Rt}", each.size_bytes)

    return use
