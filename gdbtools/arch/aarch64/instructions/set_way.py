"""Cache maintenance by set and way: what it cannot do for a guest, and what a hypervisor does instead.

Source: DDI 0487, "Cache maintenance by set/way" in "The AArch64 System Level Memory Model"; what hypervisors do: Xen's
p2m_set_way_flush() and KVM's kvm_set_way_flush(), both on HCR_EL2.TSW and then HCR_EL2.TVM.
"""

from __future__ import annotations

from typing import Final

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
    "leaf and an instruction for each cache line: `map --regime stage2` shows how the guest is mapped",
)
