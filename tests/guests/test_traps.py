"""Real traps against the fields that are named as their causes: one bit away from where nothing traps, that bit it is.

By default each machine tries as many bits as GDBTOOLS_TRAP_BITS says, drawn anew in each run; the seed is printed,
and GDBTOOLS_SEED=N repeats it. GDBTOOLS_FULL=1 tries all of them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest

from gdbtools.arch.aarch64.syndrome import EC, decode
from gdbtools.arch.aarch64.traps.deciders import deciders
from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.guests.packages import QEMU_SUITES
from tests.guests.states import FULL_RUN, SEED, counting
from tests.guests.sweep import Bit, Sweep, Trap
from tests.guests.syndromes import Syndromes, missing
from tests.tables import reader

BITS = int(os.environ.get("GDBTOOLS_TRAP_BITS", "0")) or (1 << 16 if FULL_RUN else 100)
MACHINES = {
    "cortex-a57": ("cortex-a57", 2, ",gic-version=3"),
    "max": ("max", 2, ",gic-version=3,mte=on"),
    "max at EL3": ("max", 3, ",gic-version=3"),
}
"""CPU, the guest's level, what is added to the machine."""
EVERY = [(name, machine) for name in ("system", *QEMU_SUITES) for machine in MACHINES]
USUALLY = [("system", "cortex-a57"), ("sid", "max"), ("sid", "max at EL3")]
NOT_TRAPS = (
    EC.UNKNOWN,
    EC.ILLEGAL_STATE,
    EC.INSTRUCTION_ABORT_LOWER_EL,
    EC.INSTRUCTION_ABORT_SAME_EL,
    EC.DATA_ABORT_LOWER_EL,
    EC.DATA_ABORT_SAME_EL,
    EC.POINTER_AUTHENTICATION_FAILURE,
)
"""What a control may bring about without trapping an instruction: to this the syndrome names no control."""

pytestmark = [pytest.mark.guest, pytest.mark.skipif(bool(missing()), reason=missing())]


@dataclass(frozen=True)
class Departure:
    """A bit that traps in QEMU what the manual does not have it trap."""

    what: str
    rule: str
    """What the manual has instead, and where."""
    versions: tuple[str, ...]
    register: str
    number: int
    instruction: str
    """Which, as a regular expression on the disassembler's text."""


ALL = ("7.2", "10.0", "11.1")
DEPARTURES = (
    Departure(
        "a trapped MSR DAIFSet or DAIFClr has Op1 and Op2 exchanged",
        "ISS has the instruction's own op1 and op2, by which the trap is known: AArch64.SystemAccessTrapSyndrome",
        ALL,
        "SCTLR_EL1",
        9,
        "msr daif(set|clr),",
    ),
    Departure(
        "CNTHCTL_EL2.EL1PCEN traps CNTPCT_EL0 at EL0",
        "that is EL1PCTEN's: CNTHCTL_EL2",
        ("7.2",),
        "CNTHCTL_EL2",
        1,
        r"mrs x3, cntpct_el0|MRRC p15, 0, R3, R5, c14",
    ),
    *(
        Departure(
            "DBGDEVID, DBGDEVID1 and DBGDEVID2 have encodings of their own",
            "they are p14, 0, c7, {c2, c1, c0}, 7: DBGDEVID",
            ALL,
            "MDCR_EL2",
            number,
            r"MRC p14, 0, R3, c7, c0, [012]",
        )
        for number in (8, 9)
    ),
    Departure(
        "ICC_NMIAR1_EL1 can be read in AArch32 as well",
        "there is no such register: ICC_NMIAR1_EL1, FEAT_GICv3_NMI",
        ("10.0", "11.1"),
        "ICH_HCR_EL2",
        12,
        r"MRC p15, 0, R3, c12, c9, 5",
    ),
    Departure(
        "TID3 counts for the reserved identification registers of AArch32 with CRm from c8 on",
        "for those from c2 to c7: HCR_EL2.TID3",
        ALL,
        "HCR_EL2",
        18,
        r"MRC p15, 0, R3, c0, c([89]|1[0-5]), [0-7]",
    ),
)
TOGETHER = {
    ("HCR_EL2", 42): {"HCR_EL2.NV2"},
    ("SCR_EL3", 1): {"HCR_EL2.IMO"},
    ("SCR_EL3", 2): {"HCR_EL2.FMO"},
}
"""Fields that have to be as they are for a bit to trap: they are causes as well."""
NOT_ALONE = {("HCR_EL2", 34): "E2H gives other layouts to CPTR_EL2 and CNTHCTL_EL2, by which everything traps"}
"""Bits that are not tried, and why."""


@pytest.fixture(scope="module", params=EVERY if FULL_RUN else USUALLY, ids="-".join)
def sweep(request: pytest.FixtureRequest) -> Iterator[Sweep]:
    name, machine = request.param
    try:
        qemu = packages.qemu(name)
    except Unavailable as why:
        pytest.skip(str(why))
    cpu, level, more = MACHINES[machine]
    with Syndromes(cpu, level, qemu, more) as guest:
        yield Sweep(guest)


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    yield from counting("traps")


def departure(version: str, bit: Bit, text: str) -> Departure | None:
    known = (each for each in DEPARTURES if (each.register, each.number) == (bit.register, bit.number))
    return next((each for each in known if version in each.versions and re.match(each.instruction, text)), None)


def blamed(sweep: Sweep, bit: Bit, trap: Trap) -> list[str]:
    """Return the name of the fields that the project says are the cause, the bit that was turned over as `*`."""
    register = reader({**sweep.guest.identity, **sweep.registers, bit.register: bit.value})
    found = deciders(decode(trap.record.esr), trap.el, trap.record.target, register)
    mask = 1 << bit.number
    return [
        "*" if name == bit.register and value.field.mask & mask else f"{name}.{value.field.name}"
        for name, value in found
    ]


def test_every_trap_is_blamed_on_the_bit_that_brought_it_about(sweep: Sweep, counted: Counter[str]) -> None:
    version = sweep.guest.version
    there = list(sweep.bits())
    tried = [
        bit for bit in Random(SEED).sample(there, min(BITS, len(there))) if (bit.register, bit.number) not in NOT_ALONE
    ]
    wrong = []
    for bit in tried:
        for trap in sweep.traps(bit):
            kind = EC(trap.record.ec)
            if kind in NOT_TRAPS:
                counted[f"no trap: {kind.name}"] += 1
            elif known := departure(version, bit, trap.text):
                counted[f"departs: {known.what}"] += 1
            elif set(found := blamed(sweep, bit, trap)) - TOGETHER.get((bit.register, bit.number), set()) == {"*"}:
                counted[f"{bit.register}: {kind.name}"] += 1
            else:
                where = f"EL{trap.el} to EL{trap.record.target}, ESR {trap.record.esr:#x}"
                wrong.append(f"{bit.register}[{bit.number}] {bit.value:#x}: {trap.text}, {where}: {found}")
    shown = "\n".join(wrong)
    assert not wrong, f"GDBTOOLS_SEED={SEED}: {len(wrong)} on {sweep.guest.cpu}, QEMU {version}:\n{shown}"
