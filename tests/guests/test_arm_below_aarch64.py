"""An AArch32 EL1 below an AArch64 EL2: AT S12E1R and its kin, through long descriptors and a stage 2.

The tables are those that are drawn for AArch32 by itself; AArch64's registers are what AArch32's are mapped to.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest

from gdbtools.addresses import PA, VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Access, AccessKind, Mapped, written_down
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from tests.guests.arm.oracle import DATA
from tests.guests.arm.second_stage import second_stage
from tests.guests.arm.states import Drawing, State
from tests.guests.oracle import RAM, RAM_BYTES, VTCR_RES1, Operation, Oracle, Outcome, Request, missing
from tests.guests.states import FULL_RUN, SEED, counting

CASES = int(os.environ.get("GDBTOOLS_ORACLE_CASES", "20000" if FULL_RUN else "1500"))
ARM = ARCHITECTURES["aarch64"]
EL0, EL1 = ARM.privileges[:2]
ASKED = {
    Operation.AT_S12E1R: (EL1, AccessKind.READ), Operation.AT_S12E1W: (EL1, AccessKind.WRITE),
    Operation.AT_S12E0R: (EL0, AccessKind.READ), Operation.AT_S12E0W: (EL0, AccessKind.WRITE),
}  # fmt: skip
ROOT, SECOND = 0x4F00_0000, 0x4F00_2000
# 40 bits of IPA from level 1 on, and of physical address.
VTCR = VTCR_RES1 | 24 | 1 << 6 | 0b010 << 16
VM = 1 << 0
EL2H = 0b1001
SUPERVISOR = 0b10011

pytestmark = [pytest.mark.guest, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with Oracle("cortex-a57") as oracle:
        yield oracle


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    yield from counting("AArch32 below AArch64")


@dataclass(frozen=True)
class Seen:
    """A fault as PAR has it, status, stage 2, on a table walk, or the page that it leads to."""

    fault: tuple[int, bool, bool] | None = None
    page: int | None = None


def drawn(number: int) -> State:
    """Return the next state of long descriptors, whatever number that has."""
    return next(state for at in count(number * 64) if (state := Drawing(at, False).draw()).is_long)


def registers_of(oracle: Oracle, state: State) -> dict[str, int]:
    """Return AArch64's registers for a state of AArch32's."""
    own = state.registers
    return {
        "SCTLR_EL1": own["SCTLR"], "TCR_EL1": own["TTBCR"], "TTBR0_EL1": own["TTBR0"], "TTBR1_EL1": own["TTBR1"],
        "MAIR_EL1": own["MAIR1"] << 32 | own["MAIR0"], "HCR_EL2": VM, "VTCR_EL2": VTCR, "VTTBR_EL2": ROOT,
    }  # fmt: skip


@dataclass
class Run:
    compared: int = 0
    differing: list[str] = field(default_factory=list)


def ours(oracle: Oracle, registers: dict[str, int], request: Request) -> Seen:
    def read(pa: PA, size_bytes: int) -> bytes:
        if not RAM <= pa <= RAM + RAM_BYTES - size_bytes:
            raise Unreadable(pa, size_bytes, "no memory is there")
        return oracle.read(pa, size_bytes)

    register = written_down({**oracle.identity, **registers, "cpsr": EL2H})
    found = walk(ARM.regime_for(register, VA(request.va), "el1"), VA(request.va), read)
    privilege, kind = ASKED[request.operation]
    access = Access(kind, privilege)
    refused = ARM.check(found, access, SUPERVISOR)
    if refused is not None:
        status = ARM.status(refused.fault, access, found)
        assert status is not None
        return Seen(fault=(status, refused.fault.stage == 2, refused.fault.s1ptw))
    assert isinstance(found.outcome, Mapped)
    return Seen(page=found.outcome.address & -4096)


def same(got: Seen, own: Seen) -> bool:
    """Return whether both say the same; of a table that stage 2 refuses, QEMU tells the level of stage 1."""
    if got.fault is None or own.fault is None or not (got.fault[2] and own.fault[2]):
        return got == own
    return (got.fault[0] >> 2, got.fault[1:]) == (own.fault[0] >> 2, own.fault[1:])


@pytest.fixture(scope="module")
def run(oracle: Oracle, counted: Counter[str]) -> Run:
    run = Run()
    for number in count(SEED):
        if run.compared >= CASES:
            break
        state = drawn(number)
        tables = {
            **state.tables,
            **{pa: each.to_bytes(8, "little") for pa, each in second_stage(Random(number), ROOT, SECOND, DATA).items()},
        }
        for pa, entry in tables.items():
            oracle.write(pa, entry)
        registers = registers_of(oracle, state)
        addresses = dict.fromkeys(each.va for each in state.requests)
        asked: list[tuple[Request, Seen]] = []
        for request in (Request(va, operation) for va in addresses for operation in ASKED):
            try:
                asked.append((request, ours(oracle, registers, request)))
            except Unreadable:
                counted["not asked: a table is where no memory is"] += 1
        for (request, own), answer in zip(asked, oracle.ask(registers, [each for each, _ in asked]), strict=True):
            run.compared += 1
            par = answer.syndrome
            got = Seen(page=par & (1 << 48) - 4096)
            if par & 1:
                got = Seen(fault=(par >> 1 & 0x3F, bool(par >> 9 & 1), bool(par >> 8 & 1)))
            if answer.outcome is not Outcome.COMPLETED or not same(got, own):
                named = {name: hex(value) for name, value in registers.items()}
                run.differing.append(f"seed {number}: {request}: QEMU {got} ({answer}), gdbtools {own}; {named}")
            stage = "" if own.fault is None else f"stage {1 + own.fault[1]}{', on a walk' if own.fault[2] else ''}"
            counted["completed" if own.fault is None else f"fault status {own.fault[0]:#04x}, {stage}"] += 1
        for pa in state.tables:
            oracle.write(pa, bytes(8))
    return run


def test_both_stages_say_what_hardware_says(run: Run) -> None:
    assert run.compared >= CASES
    assert not run.differing, f"{len(run.differing)} of {run.compared} differ; the first: {run.differing[0]}"
