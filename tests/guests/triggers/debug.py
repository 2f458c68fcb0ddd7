"""Breakpoints and Software Step."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.controls import EVERY_CASE, bits
from tests.guests.syndromes import AARCH32_USER, CODE, DAIF, DATA, EL0T, EL1H, Case
from tests.guests.triggers.model import Trigger

SS_MDSCR, KDE, MDE = bits(0), bits(13), bits(15)
TDE = bits(8)
PSTATE_SS = bits(21)
PSTATE_D = bits(9)
DEBUG_EVENT = 0b100010
ENABLED, BOTH_LEVELS, ALL_BYTES = bits(0), bits(1, 2), 0b1111 << 5
"""Of DBGBCR<n>_EL1: E, PMC of EL0 and EL1, BAS."""
HCR = EVERY_CASE["HCR_EL2"]


def step(
    name: str, el: int, target: int, source: str, registers: dict[str, int], fields: dict[str, int], elr: int
) -> Trigger:
    """Return one step; ELR is where it has come to."""
    lower = el < target
    state = (EL1H | DAIF & ~PSTATE_D if el else EL0T | DAIF) | PSTATE_SS
    return Trigger(
        name=f"Software Step {name}",
        case=Case(source, state, registers, {1: DATA}),
        target=target,
        ec=EC.SOFTWARE_STEP_LOWER_EL if lower else EC.SOFTWARE_STEP_SAME_EL,
        fields={"IFSC": DEBUG_EVENT, **fields},
        instruction="",
        elr=elr,
    )


STEPS = (
    step("of EL0", 0, 1, "nop\n nop", {"MDSCR_EL1": SS_MDSCR}, {"ISV": 1, "EX": 0}, CODE + 4),
    step(
        "of a branch at EL0", 0, 1, "b here\n nop\n here: nop", {"MDSCR_EL1": SS_MDSCR}, {"ISV": 1, "EX": 0}, CODE + 8
    ),
    step(
        "of a Load-Exclusive at EL0",
        0,
        1,
        "ldxr x3, [x1]\n nop",
        {"MDSCR_EL1": SS_MDSCR},
        {"ISV": 1, "EX": 1},
        CODE + 4,
    ),
    step("of EL1 by itself", 1, 1, "nop\n nop", {"MDSCR_EL1": SS_MDSCR | KDE}, {"ISV": 1, "EX": 0}, CODE + 4),
    step("of EL1 by EL2", 1, 2, "nop\n nop", {"MDSCR_EL1": SS_MDSCR, "MDCR_EL2": TDE}, {"ISV": 1, "EX": 0}, CODE + 4),
    step(
        "of EL0 by EL2", 0, 2, "ldaxr w3, [x1]", {"MDSCR_EL1": SS_MDSCR, "MDCR_EL2": TDE}, {"ISV": 1, "EX": 1}, CODE + 4
    ),
    Trigger(
        name="Software Step without anything stepped: PSTATE.SS is 0",
        case=Case("nop", EL0T | DAIF, {"MDSCR_EL1": SS_MDSCR}),
        target=1,
        ec=EC.SOFTWARE_STEP_LOWER_EL,
        fields={"IFSC": DEBUG_EVENT, "ISV": 0},
        instruction="",
        elr=CODE,
    ),
    Trigger(
        name="AArch32: Software Step of EL0",
        case=Case(".inst 0xe320f000, 0xe320f000", AARCH32_USER | DAIF | PSTATE_SS, {"MDSCR_EL1": SS_MDSCR}),
        target=1,
        ec=EC.SOFTWARE_STEP_LOWER_EL,
        fields={"IFSC": DEBUG_EVENT, "ISV": 1, "EX": 0},
        instruction="",
        elr=CODE + 4,
        needs=("AA32EL0",),
    ),
)


def breakpoint_at(name: str, el: int, target: int, registers: dict[str, int], number: int = 0) -> Trigger:
    lower = el < target
    state = EL1H | DAIF & ~PSTATE_D if el else EL0T | DAIF
    own = {f"DBGBVR{number}_EL1": CODE + 4, f"DBGBCR{number}_EL1": ENABLED | BOTH_LEVELS | ALL_BYTES}
    return Trigger(
        name=f"a breakpoint {name}",
        case=Case("nop\n here: nop", state, {**own, **registers}),
        target=target,
        ec=EC.BREAKPOINT_LOWER_EL if lower else EC.BREAKPOINT_SAME_EL,
        fields={"IFSC": DEBUG_EVENT},
        instruction="",
    )


BREAKPOINTS = (
    breakpoint_at("at EL0", 0, 1, {"MDSCR_EL1": MDE}),
    breakpoint_at("at EL1 by itself", 1, 1, {"MDSCR_EL1": MDE | KDE}, 3),
    breakpoint_at("at EL1 by EL2", 1, 2, {"MDSCR_EL1": MDE, "MDCR_EL2": TDE}),
    breakpoint_at("at EL0 by EL2", 0, 2, {"MDSCR_EL1": MDE, "MDCR_EL2": TDE}),
)
VECTOR_CATCH = Trigger(
    name="AArch32: the vector of SVC at EL1 by EL2",
    case=Case(
        ".inst 0xef000000",
        AARCH32_USER | DAIF,
        {"HCR_EL2": HCR & ~bits(31), "MDSCR_EL1": MDE, "MDCR_EL2": TDE, "DBGVCR32_EL2": bits(2)},
    ),
    target=2,
    ec=EC.VECTOR_CATCH_AARCH32,
    fields={"IFSC": DEBUG_EVENT},
    instruction="",
    needs=("AA32EL1",),
)
TRIGGERS: tuple[Trigger, ...] = (*STEPS, *BREAKPOINTS, VECTOR_CATCH)
