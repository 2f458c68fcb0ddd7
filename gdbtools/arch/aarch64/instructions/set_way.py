"""Cache maintenance by set and way: what it cannot do for a guest, and what a hypervisor does instead.

Source: DDI 0487, "Cache maintenance by set/way" in "The AArch64 System Level Memory Model", and "DC CISW"; what
hypervisors do: Xen's p2m_set_way_flush() and KVM's kvm_set_way_flush(), both on HCR_EL2.TSW and then HCR_EL2.TVM.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from gdbtools.arch.aarch64.registers.identification import CCSIDR
from gdbtools.bits import Field, Word

AARCH64: Final = frozenset(
    f"DC {name}" for name in ("ISW", "CSW", "CISW", "IGSW", "IGDSW", "CGSW", "CGDSW", "CIGSW", "CIGDSW")
)
AARCH32: Final = frozenset(("DCISW", "DCCSW", "DCCISW"))
NOTES: Final = (
    "set/way names a line by its place in this CPU's own caches, by no address, so it cannot be virtualised: the guest "
    "may be moved to another CPU between two of them, another CPU's cache may hold the line, and a system cache does "
    "not obey",
    "a hypervisor traps it (HCR_EL2.TSW) and cleans and invalidates, by address, all that stage 2 maps for the guest; "
    "then it watches the guest's caches go on or off (HCR_EL2.TVM) to do that once more. The cost is a step for each "
    "leaf and an instruction for each cache line: `stage2` tells both",
)


class SetWay(Word):
    """What such an instruction is handed, as far as it is laid out alike for every cache."""

    Level = Field((3, 1), doc="cache", values={level: f"L{level + 1}" for level in range(7)})


_WAY_ENDS: Final = 32


@lru_cache(maxsize=16)
def operand(cache: CCSIDR) -> type[SetWay]:
    """Return how it is laid out for a cache: the way at the top of 32 bits, the set above the bytes of a line."""
    fields: dict[str, Any] = {}
    ways, sets, line = cache.Associativity.bit_length(), cache.NumSets.bit_length(), cache.line_bits
    if ways:
        fields["Way"] = Field((_WAY_ENDS - 1, _WAY_ENDS - ways), doc="way")
    if sets:
        fields["Set"] = Field((line + sets - 1, line), doc="set")
    return type(SetWay.__name__, (SetWay,), {"__doc__": SetWay.__doc__, **fields})
