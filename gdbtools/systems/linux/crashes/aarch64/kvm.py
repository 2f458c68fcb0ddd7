"""What KVM prints on AArch64 when its own code at EL2 takes an exception, or a guest's that it cannot handle.

    Kernel panic - not syncing: HYP panic:
    PS:604003c9 PC:0000c1b3e4a5b6c8 ESR:0000000096000006
    FAR:0000000000000010 HPFAR:0000000000480000 PAR:0000000000000800

    kvm [417]: Unsupported FSC: EC=0x24 xFSC=0x10 ESR_EL2=0x92000010

Source: Linux, `arch/arm64/kvm/handle_exit.c` (nvhe_hyp_panic_handler), `arch/arm64/kvm/hyp/vhe/switch.c`
(__hyp_call_panic) and `arch/arm64/kvm/mmu.c` (kvm_handle_guest_abort), of 4.x to 6.12.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch64.syndrome import decode
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar, slide
from gdbtools.systems.linux.crashes.lines import AFTER, LINE_OF_RELEASE

_LINES: Final = {
    "panic": re.compile(r"\bHYP panic:"),
    "guest's": re.compile(r"\bUnsupported FSC: EC=0x[0-9a-f]+ xFSC=0x[0-9a-f]+ ESR_EL2=0x([0-9a-f]{1,16})\b"),
    "state": re.compile(r"\bPS:([0-9a-f]{8,16}) PC:([0-9a-f]{16}) ESR:([0-9a-f]{8,16})\b"),
    "address": re.compile(r"\bFAR:([0-9a-f]{16}) HPFAR:([0-9a-f]{16}) PAR:([0-9a-f]{16})\b"),
    "release": LINE_OF_RELEASE,
}
_TABLES: Final = "a dump: which tables were in force at EL2 KVM does not print"


def crash(facts: CrashFacts) -> Crash | None:
    """Return what a panic at EL2 comes to, or a guest's exception; None for the words alone."""
    syndrome = facts.number("guest's") if facts.all("guest's") else facts.number("state", 2)
    if syndrome is None:
        return None
    special = {
        "ESR_EL2": syndrome,
        "ELR_EL2": facts.number("state", 1),
        "SPSR_EL2": facts.number("state"),
        "FAR_EL2": facts.number("address") if decode(syndrome).address_valid else None,
        "HPFAR_EL2": facts.number("address", 1),
        "PAR_EL1": facts.number("address", 2),
    }
    deduced, state, address = Deduction(), special["SPSR_EL2"], special["FAR_EL2"]
    if state is not None:
        deduced.values["cpsr"] = state
        deduced.say("cpsr", "cpsr: as PS, for KVM interrupted itself: it was taken at the level that it came from")
    return Crash(
        system="Linux's KVM on AArch64",
        line=facts.line,
        title=facts.title,
        architecture="aarch64",
        stated={name: value for name, value in special.items() if value is not None},
        deduced=deduced.derived,
        pc="ELR_EL2",
        address=None if address is None else VA(address),
        release=(facts.first("release") or ("",))[0],
        slide=slide(facts),
        wanted=(_TABLES,) if facts.all("state") and decode(syndrome).fault is not None else (),
    )


GRAMMAR: Final = Grammar(
    signs=("HYP panic:", "Unsupported FSC: "),
    begins=(("panic", "state"), ("guest's",)),
    lines=_LINES,
    ends=re.compile(r"---\[ end Kernel panic"),
    crash=crash,
    torn=re.compile(r"\bPS:[0-9a-f]+ PC:(?![0-9a-f]{16} ESR:[0-9a-f]{8})"),
    after=AFTER,
)
