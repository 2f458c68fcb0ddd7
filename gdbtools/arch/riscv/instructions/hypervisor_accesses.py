"""HLV, HLVX and HSV as they may be borrowed: a hypervisor's accesses as its guest, checked as VS-mode's or VU-mode's.

hstatus.SPVP says which of the two, so that it is set for the access; whoever steps it puts it back.  A fault is taken
as the hypervisor's own, with the guest virtual address in stval.

Source: The RISC-V Privileged Architecture, "Hypervisor Virtual-Machine Load and Store Instructions", "Hypervisor Status
(hstatus) Register" for SPVP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gdbtools.arch.gadgets import Borrowable, Use
from gdbtools.arch.model import Access, AccessKind, ReadRegister, optional
from gdbtools.arch.riscv import X
from gdbtools.arch.riscv.instructions.memory import SYSTEM, Wide, memory_access
from gdbtools.arch.riscv.privilege_modes import VS, S
from gdbtools.arch.riscv.registers.catalog import WIDE
from gdbtools.arch.riscv.registers.status import HSTATUS32, HSTATUS64
from gdbtools.arch.riscv.translation import regimes
from gdbtools.errors import Refused

_HYPERVISOR: Final = Wide(0).with_(low=0b11, opcode=SYSTEM, funct3=0b100, funct7=0b0110000)
_ALL: Final = 0xFFFF_FFFF
_OF_LOAD, _OF_STORE = Wide.rs1.mask | Wide.rd.mask, Wide.rs1.mask | Wide.rs2.mask
"""Where a load, and a store, name their registers."""
_SIGNED, _UNSIGNED, _CODE = 0, 1, 3
"""What a load has in place of rs2."""
_LOADS: Final = {
    AccessKind.READ: [(_SIGNED, 0), (_UNSIGNED, 0), (_SIGNED, 1), (_UNSIGNED, 1), (_SIGNED, 2), (_UNSIGNED, 2),
                      (_SIGNED, 3)],
    AccessKind.READ_EXECUTABLE: [(_CODE, 1), (_CODE, 2)],
}  # fmt: skip
"""Which there are, each with the logarithm of its bytes."""
_ONLY_WIDE: Final = ((_UNSIGNED, 2), (_SIGNED, 3))


def borrowed(access: Access, address: int, register: ReadRegister, regime: str, bits: int) -> Sequence[Borrowable]:
    """Return what makes an access as a guest's; raise `Refused` where this hart, or this access, has no such thing."""
    if regime != regimes.GUEST:
        raise Refused(f"no access here is {regime}'s; HLV and HSV are a guest's, through both stages: --regime vs")
    own, status = regimes.privilege(register), optional(register, "hstatus")
    if own != S:
        raise Refused(f"the hart is in {own.label}-mode; HLV and HSV are a hypervisor's: stop in HS-mode and ask there")
    if status is None:
        raise Refused("there is no hstatus, without which nobody knows whose access HLV is")
    if access.kind is not AccessKind.WRITE and access.kind not in _LOADS:
        raise Refused("an execution cannot be tried without doing what is there; ask for read-code, which HLVX does")
    as_whose = (HSTATUS64 if bits == WIDE else HSTATUS32)(status).with_(SPVP=int(access.privilege == VS))
    use = _use(address, {"hstatus": int(as_whose)}, bits)
    if access.kind is AccessKind.WRITE:
        return [
            Borrowable(_ALL & ~_OF_STORE, _of(size, stores=1), use, size, size_bytes=4)
            for size in range(4 if bits == WIDE else 3)
            if not address % (1 << size)
        ]
    return [
        Borrowable(_ALL & ~_OF_LOAD, _of(size, sort), use, size, size_bytes=4)
        for sort, size in _LOADS[access.kind]
        if not address % (1 << size) and (bits == WIDE or (sort, size) not in _ONLY_WIDE)
    ]


def _of(size: int, sort: int = 0, stores: int = 0) -> int:
    return int(_HYPERVISOR.with_(funct7=_HYPERVISOR.funct7 | size << 1 | stores, rs2=sort))


def _use(address: int, with_it: dict[str, int], bits: int) -> Callable[[int], Use | None]:
    """Decline what has no base or keeps nothing, and a store of its own base."""

    def use(word: int) -> Use | None:
        found = memory_access(word, bits)
        if found is None or not found.base or not found.register or found.size_bytes is None:
            return None
        if AccessKind.WRITE in found.kinds and found.register == found.base:
            return None
        text = f"{found.name} {X[found.register]}, ({X[found.base]})"
        return Use(text, {X[found.base]: address, **with_it}, X[found.register], found.size_bytes)

    return use
