"""What Xen prints on AArch64 when it looks an address of a guest up: a walk of the guest's second stage.

    dom0 IPA 0x0000000088080000
    P2M @ 0000000803fc3d40 mfn:0x17f0f5
    0TH[0x0] = 0x004000017f0f377f
    1ST[0x2] = 0x02c00000800006fd

It is a walk, and no exception: why Xen looked is around it.  Bits 58 to 55 of an entry are Xen's own type of it, whose
numbers differ by version.

Source: Xen, `xen/arch/arm/p2m.c` (dump_p2m_lookup) and `xen/arch/arm/mm.c` (dump_pt_walk), of 4.5 to 4.20; VTCR_EL2,
which is not printed, as `setup_virt_paging` there sets it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gdbtools.addresses import IPA, PA
from gdbtools.arch.aarch64.registers.hypervisor import VTCR_EL2
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.model import Mapped, Regime, written_down
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar, followed_by_index
from gdbtools.systems.xen.crashes.aarch64.crash import ENTRY

_LINES: Final = {
    "lookup": re.compile(r"\bdom(\d+) IPA 0x([0-9a-f]{1,16})\b"),
    "root": re.compile(r"\bP2M @ \S+ mfn:0x([0-9a-f]{1,16})\b"),
    "entry": ENTRY,
}
_PAGE_BITS: Final = 12
_LAST_INDEX: Final = 511
_INPUTS: Final = {0: (48, 0b10), 1: (40, 0b01)}
"""By the level that a walk begins at, the bits of an address, two tables side by side at level 1, and VTCR_EL2.SL0."""
_VTCR: Final = VTCR_EL2(1 << 31).with_(TG0=0b00, SH0=0b11, ORGN0=1, IRGN0=1, PS=0b101)


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the walk of an address comes to; None where no root was printed."""
    lookup, root = facts.first("lookup"), facts.number("root")
    entries = [(int(level), int(index, 16), int(value, 16)) for level, index, value in facts.all("entry")]
    if lookup is None or root is None or not entries or entries[0][0] not in _INPUTS:
        return None
    address, (bits, start) = IPA(int(lookup[1], 16)), _INPUTS[entries[0][0]]
    vtcr = _VTCR.with_(T0SZ=64 - bits, SL0=start)
    deduced = Deduction()
    deduced.assume("VTTBR_EL2", root << _PAGE_BITS, "the frame of P2M")
    deduced.values["VTCR_EL2"] = int(vtcr)
    deduced.say(
        "VTCR_EL2", f"VTCR_EL2: T0SZ={64 - bits}, TG0=4KB, as Xen sets it for a walk from level {entries[0][0]}"
    )
    regime = regimes.regime_for(written_down(deduced.values), address, "stage2")
    # An index of Xen's is within one table, also where several are side by side.
    within = {level.number: level.index(address) for level in regime.levels}
    numbered = [
        (level, within[level] if level in within and within[level] & _LAST_INDEX == index else index, value)
        for level, index, value in entries
    ]
    descriptors = followed_by_index(regime, address, numbered, deduced)
    return Crash(
        system=f"Xen on AArch64, the second stage of dom{lookup[0]}",
        line=facts.line,
        title=facts.title,
        architecture="aarch64",
        deduced=deduced.derived,
        descriptors=descriptors,
        told=_leads(regime, address, descriptors),
        doubts=tuple(deduced.doubts),
        wanted=("the syndrome, for why Xen looked: `HSR=...`, or the guest's own crash",),
    )


GRAMMAR: Final = Grammar(
    signs=(" IPA 0x",),
    begins=(("lookup",),),
    lines=_LINES,
    ends=re.compile(r"\bAP2M\[|\bMem access check\b"),
    crash=crash,
)


def _leads(regime: Regime, address: IPA, descriptors: Mapping[PA, int]) -> tuple[tuple[str, str], ...]:
    """Return where the walk leads, and what its last entry permits."""

    def read(pa: PA, size_bytes: int) -> bytes:
        if pa not in descriptors:
            raise Unreadable(pa, size_bytes, "it was not printed")
        return descriptors[pa].to_bytes(size_bytes, regime.byte_order)

    try:
        found = walk(regime, address, read)
    except Unreadable:
        return ()
    if found.refused is not None:
        return (("leads", f"nowhere: {found.refused.decider.cause.sentence}"),)
    granted = (
        ""
        if found.attributes is None
        else "".join(
            f", {each.label} {allowed}" for each, allowed in sorted(found.attributes.rights.items(), reverse=True)
        )
    )
    return (("leads", f"to PA {found.outcome.address:#x}{granted}"),) if isinstance(found.outcome, Mapped) else ()
