"""Watchpoints."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.controls import bits
from tests.guests.syndromes import DAIF, DATA, EL0T, EL1H, Case
from tests.guests.triggers.debug import DEBUG_EVENT, KDE, MDE, PSTATE_D, TDE
from tests.guests.triggers.model import Trigger

ENABLED, BOTH_LEVELS, LOADS, STORES = bits(0), bits(1, 2), bits(3), bits(4)
"""Of DBGWCR<n>_EL1: E, PAC of EL0 and EL1, LSC."""


def watched(
    name: str, source: str, el: int, target: int, registers: dict[str, int], kind: int, far: int = DATA, number: int = 0
) -> Trigger:
    """Return an access to a watched doubleword; `kind` is what is watched for, one of LOADS and STORES."""
    state = EL1H | DAIF & ~PSTATE_D if el else EL0T | DAIF
    control = ENABLED | BOTH_LEVELS | kind | 0xFF << 5
    own = {f"DBGWVR{number}_EL1": DATA, f"DBGWCR{number}_EL1": control}
    return Trigger(
        name=f"a watchpoint {name}",
        case=Case(source, state, {**own, **registers}, {1: far}),
        target=target,
        ec=EC.WATCHPOINT_LOWER_EL if el < target else EC.WATCHPOINT_SAME_EL,
        fields={"DFSC": DEBUG_EVENT, "WnR": int(kind == STORES)},
        instruction="",
        far=far,
    )


TRIGGERS: tuple[Trigger, ...] = (
    watched("on a load at EL0", "nop\n here: ldr x7, [x1]", 0, 1, {"MDSCR_EL1": MDE}, LOADS),
    watched("on a store at EL0", "str x7, [x1]", 0, 1, {"MDSCR_EL1": MDE}, STORES, number=2),
    watched("on a byte at EL0", "strb w7, [x1]", 0, 1, {"MDSCR_EL1": MDE}, STORES, DATA + 3),
    watched("at EL1 by itself", "ldr x7, [x1]", 1, 1, {"MDSCR_EL1": MDE | KDE}, LOADS),
    watched("at EL1 by EL2", "str x7, [x1]", 1, 2, {"MDSCR_EL1": MDE, "MDCR_EL2": TDE}, STORES),
    watched("at EL0 by EL2", "ldp x7, x8, [x1]", 0, 2, {"MDSCR_EL1": MDE, "MDCR_EL2": TDE}, LOADS),
)
