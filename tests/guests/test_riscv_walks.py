"""RISC-V's walker in QEMU, the manual's rules and gdbtools: loads, stores, jumps, HLV and HSV, in one stage and two.

Three witnesses: the hardware that QEMU plays, the manual's rules written apart from the code, and our own answer.

Each run draws new states; the seed is printed, and GDBTOOLS_SEED=N repeats it. GDBTOOLS_ORACLE_CASES sets how many
accesses are compared in each configuration.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from gdbtools.cli import main
from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.guests.packages import QEMU_SUITES
from tests.guests.riscv import ours
from tests.guests.riscv.comparison import Case, Comparison, Seen
from tests.guests.riscv.departures import Known
from tests.guests.riscv.oracle import CPUS, MPP_S, MPRV, MPV, RAM, Operation, RiscvOracle
from tests.guests.riscv.states import Drawing
from tests.guests.states import FULL_RUN, SEED, counting, first_of

CASES = int(os.environ.get("GDBTOOLS_ORACLE_CASES", "35000" if FULL_RUN else "1000"))
"""Of each of the six configurations; all in all 210,000 and 6,000."""
ACCESSES = {Operation.LOAD: "read", Operation.STORE: "write", Operation.JUMP: "execute"}
OTHERS = "it would touch what is not the test's"

pytestmark = pytest.mark.guest


@pytest.fixture(
    scope="module",
    params=[(name, bits) for name in ("system", *QEMU_SUITES) for bits in (64, 32)],
    ids=lambda each: f"{each[0]}-riscv{each[1]}",
)
def oracle(request: pytest.FixtureRequest) -> Iterator[RiscvOracle]:
    name, bits = request.param
    try:
        qemu = packages.qemu(name, f"qemu-system-riscv{bits}")
    except Unavailable as missing:
        pytest.skip(str(missing))
    oracle = RiscvOracle(qemu, bits)
    if oracle.version not in CPUS:
        pytest.skip(f"where QEMU {qemu.version} departs from the manual is not known: {', '.join(CPUS)} are listed")
    with oracle:
        yield oracle


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    yield from counting("RISC-V walks")


def describe(number: int, comparison: Comparison, case: Case, got: Seen) -> str:
    request = case.request
    lines = [f"GDBTOOLS_SEED={number}", f"{request.operation.name} {request.va:#x} mstatus {request.mstatus:#x}"]
    lines += [f"  {name} {value:#x}" for name, value in comparison.registers.items()]
    lines += [f"  stub at {comparison.state.stub_va[0]:#x} and {comparison.state.stub_va[1]:#x}"]
    lines += [f"    {each}" for each in case.trail]
    if case.ours is not None:
        lines.append(f"  gdbtools: {case.ours}")
    lines += [f"  the manual: {case.by_manual}", f"  of QEMU it was expected: {case.by_qemu}", f"  QEMU: {got}"]
    return "\n".join(lines)


@dataclass
class Run:
    """What came of one configuration's accesses."""

    oracle: RiscvOracle
    compared: int = 0
    differing: list[str] = field(default_factory=list)
    ours_differing: list[str] = field(default_factory=list)
    seen: Counter[Known] = field(default_factory=Counter)

    def of(self, number: int, counted: Counter[str]) -> None:
        """Draw a state, ask everything about it, and compare."""
        state = Drawing(self.oracle.bits, number).draw()
        comparison = Comparison(self.oracle, state)
        cases: list[Case] = []
        for request in state.requests:
            why = comparison.not_asked(request)
            case = None if why else comparison.predict(request, len(cases))
            if case is None:
                counted[f"not asked: {why or OTHERS}"] += 1
            else:
                cases.append(case)
        answers = self.oracle.ask([case.request for case in cases], state.stub_va)
        self.compared += len(cases)
        before = len(self.differing)
        for case, answer in zip(cases, answers, strict=True):
            got = comparison.happened(case, answer)
            if got != case.by_qemu:
                self.differing.append(describe(number, comparison, case, got))
            elif case.departed:
                self.seen.update(case.departed)
            else:
                what = f"cause {got.cause}" if got.cause is not None else "completed"
                counted[f"riscv{self.oracle.bits}, {state.mode}: {what}"] += 1
            if case.is_unknown:
                counted["gdbtools says that it cannot know: a table is where no memory is"] += 1
            if not case.is_ours_right:
                self.ours_differing.append(describe(number, comparison, case, got))
        if comparison.stale_gva:
            self.seen[Known.GVA_STAYS] += comparison.stale_gva
        left = comparison.left_behind()
        if len(self.differing) == before:
            self.differing += [f"GDBTOOLS_SEED={number}: {each}" for each in left]

    def first(self, differing: list[str]) -> str:
        return first_of(differing, self.compared, f"{self.oracle.cpu}, QEMU {self.oracle.version}")


@pytest.fixture(scope="module")
def run(oracle: RiscvOracle, counted: Counter[str]) -> Run:
    """Everything that is asked of one configuration."""
    run = Run(oracle)
    for number in count(SEED):
        if run.compared >= CASES:
            break
        run.of(number, counted)
    for known, often in run.seen.items():
        counted[
            f"QEMU {oracle.version} departs: {known.value.what}; {known.value.rule} ({known.value.headings[0]})"
        ] += often
    return run


def test_each_access_is_what_the_manual_says_but_for_the_departures(run: Run) -> None:
    assert run.compared >= CASES
    assert not run.differing, run.first(run.differing)


def test_each_access_is_what_gdbtools_says_but_for_the_departures(run: Run) -> None:
    if not ours.decoded(run.oracle.bits):
        pytest.skip(f"riscv{run.oracle.bits} is not decoded by gdbtools")
    assert not run.ours_differing, run.first(run.ours_differing)


def test_the_command_says_the_same_of_the_ram_and_the_registers(
    oracle: RiscvOracle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not ours.decoded(oracle.bits):
        pytest.skip(f"riscv{oracle.bits} is not decoded by gdbtools")
    file = tmp_path / "registers.json"
    causes = set()
    for number in range(SEED, SEED + 6):
        state = Drawing(oracle.bits, number).draw()
        comparison = Comparison(oracle, state)
        direct = [request for request in state.requests if request.operation in ACCESSES]
        for request in direct[:6]:
            case = comparison.predict(request, 0)
            if case is None or case.by_manual.missing or case.is_unknown:
                continue
            registers = ours.registers_of(comparison.qemu.hardware, comparison.registers, request.mstatus & ~MPRV)
            file.write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
            mode = ("v" if request.mstatus & MPV else "") + ("s" if request.mstatus & MPP_S else "u")
            source = [f"{oracle.path}@{RAM:#x}", "--registers", str(file), "--arch", f"riscv{oracle.bits}"]
            access = ["--access", ACCESSES[request.operation], "--privilege", mode]
            main(["walk", "-s", *source, *access, "--json", hex(request.va)])
            fault = json.loads(capsys.readouterr().out)["result"].get("fault")
            cause = int(fault["status"], 0) if fault else None
            causes.add(cause)
            assert cause == case.by_manual.cause, describe(number, comparison, case, case.by_manual)
            comparison.qemu.entries.clear()  # nothing was asked of QEMU
    assert len(causes) > 2, "too few kinds of answers were met to tell"


@pytest.mark.full
def test_each_departure_is_seen(run: Run) -> None:
    oracle = run.oracle
    # What may be seen on both widths is rare on riscv32: shadow stacks are not there before 11.1, and no table is far.
    only = (oracle.bits,)
    here = [known for known in Known if known.value.concerns(oracle.version, oracle.bits)]
    wanted = [known for known in here if oracle.bits == 64 or known.value.bits == only]
    never = [known.name for known in wanted if not run.seen[known]]
    assert not never, f"QEMU {oracle.version} is said to depart by {', '.join(never)}, and never did"
