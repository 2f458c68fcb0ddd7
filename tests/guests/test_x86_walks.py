"""x86-64's walker in QEMU, the manual's rules and gdbtools: loads, stores and jumps of user and supervisor mode.

Three witnesses: the hardware that QEMU plays, the manual's rules written apart from the code, and our own answer.

Each run draws new states; the seed is printed, and GDBTOOLS_SEED=N repeats it. GDBTOOLS_ORACLE_CASES sets how many
accesses are compared in each configuration.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from gdbtools.addresses import VA
from gdbtools.arch.model import Mapped
from gdbtools.arch.walk import walk
from gdbtools.cli import main
from gdbtools.errors import Unavailable, Unreadable
from tests.guests import packages
from tests.guests.packages import QEMU_SUITES
from tests.guests.states import FULL_RUN, SEED, counting, first_of
from tests.guests.x86.accesses import FULL, LENGTHS, X86, Accesses, is_the_tests, touch
from tests.guests.x86.departures import Known, departs
from tests.guests.x86.oracle import (
    DATA,
    MOST_REQUESTS,
    REQUEST_BYTES,
    REQUESTS,
    Answer,
    Operation,
    Request,
    X86Oracle,
    no_kvm,
    word_at,
)
from tests.guests.x86.rules import PF, Raised, Rules
from tests.guests.x86.states import STUB_VA, Drawing, State

CASES = int(os.environ.get("GDBTOOLS_ORACLE_CASES", "35000" if FULL_RUN else "3000"))
"""Of each of the six configurations; all in all 210,000 and 18,000."""
UNDEFINED = 6
KVM = "KVM"
"""This machine's own CPU, where it walks the tables of guests: a second witness of another make."""

pytestmark = pytest.mark.guest


@pytest.fixture(
    scope="module",
    params=[(name, levels) for name in ("system", *QEMU_SUITES, KVM) for levels in (4, 5)],
    ids=lambda each: f"{each[0]}-{each[1]}-level",
)
def oracle(request: pytest.FixtureRequest) -> Iterator[X86Oracle]:
    name, levels = request.param
    if name == KVM and (why := no_kvm()):
        pytest.skip(why)
    try:
        qemu = packages.qemu("system" if name == KVM else name, "qemu-system-x86_64")
    except Unavailable as missing:
        pytest.skip(str(missing))
    with X86Oracle(qemu, levels, by_kvm=name == KVM) as oracle:
        if not oracle.has_levels:
            pytest.skip("this machine's CPU has no 5-level paging")
        yield oracle


@pytest.fixture(scope="module")
def counted() -> Iterator[Counter[str]]:
    yield from counting("x86-64 walks")


class Comparison(Accesses):
    """One state's accesses, each predicted twice before the hardware is asked."""

    users_cs = 0x23

    def __init__(self, oracle: X86Oracle, state: State) -> None:
        super().__init__(oracle, state.registers, state.pages)
        self.oracle, self.state = oracle, state

    def by_manual(self, request: Request) -> Raised | int:
        try:
            return Rules(self.registers, self.word, self.oracle.physical_bits).access(touch(request))
        except Raised as raised:
            return raised

    def ours(self, request: Request) -> Raised | int | None:
        """Return gdbtools' own answer; None where it says that it cannot know."""
        register, access, regime, met = self.asked(request)
        try:
            found = walk(regime, VA(request.va), self.bytes_at)
        except Unreadable:
            return None
        refused = X86.check(found, met, X86.state(register))
        if refused is None:
            assert isinstance(found.outcome, Mapped)
            return int(found.outcome.address)
        error = X86.status(refused.fault, access, found)
        return Raised(13, 0) if error is None else Raised(PF, error)

    def may_ask(self, expected: Raised | int) -> bool:
        """Return whether an access touches what is the test's own, or nothing."""
        return isinstance(expected, Raised) or is_the_tests(expected)

    def happened(self, request: Request, answer: Answer) -> Raised | int | str:
        """Return what the guest tells: a word that was loaded or fetched tells where it is."""
        operation, where = request.operation, request.operation & 3
        begin = request.va if operation.is_fetch else STUB_VA + 8 * where
        completed = answer.vector is None or (
            answer.vector == UNDEFINED and answer.rip == begin + LENGTHS[Operation(where)] & FULL
        )
        if not completed:
            assert answer.vector is not None
            if answer.vector == PF and answer.cr2 != request.va:
                return f"cr2 is {answer.cr2:#x}"
            return Raised(answer.vector, answer.error)
        if operation.is_write:
            return self._written(request)
        place = DATA + (answer.value - word_at(DATA)) * 16
        return place + request.va % 16 if is_the_tests(place) else f"loads {answer.value:#x}"

    def _written(self, request: Request) -> int | str:
        """Return where a store went: it is looked for where it was expected, and what is found is the last one's."""
        expected = self.by_manual(request)
        if isinstance(expected, int) and self.oracle.word(expected) & 0xFFFFFFFF == self.stores.get(expected):
            return expected
        return "stores somewhere else"

    def ask(self, requests: Sequence[Request], expected: Sequence[Raised | int]) -> list[Answer]:
        """Put the requests to the hardware, and remember what each place of a store has to have afterwards."""
        self.stores = {
            pa: REQUESTS + REQUEST_BYTES * (number % MOST_REQUESTS)
            for number, (request, pa) in enumerate(zip(requests, expected, strict=True))
            if request.operation.is_write and isinstance(pa, int)
        }
        return self.oracle.ask(self.registers, requests, STUB_VA)

    def put_back(self) -> None:
        for pa in self.stores:
            self.oracle.write(pa, b"\x90" * 4)


def describe(
    number: int, comparison: Comparison, request: Request, said: object, by_manual: object, got: object
) -> str:
    lines = [f"GDBTOOLS_SEED={number}", f"{request.operation.name} {request.va:#x} rflags {request.rflags:#x}"]
    lines += [f"  {name} {value:#x}" for name, value in comparison.registers.items()]
    lines += [f"  gdbtools: {said}", f"  the manual: {by_manual}", f"  QEMU: {got}"]
    return "\n".join(lines)


class Run:
    """What came of one configuration's accesses."""

    def __init__(self, oracle: X86Oracle) -> None:
        self.oracle = oracle
        self.compared = 0
        self.differing: list[str] = []
        self.ours_differing: list[str] = []
        self.seen: Counter[Known] = Counter()

    def of(self, number: int, counted: Counter[str]) -> None:
        """Draw a state, ask everything about it, and compare."""
        state = Drawing(self.oracle.levels, number, self.oracle.abilities).draw()
        comparison = Comparison(self.oracle, state)
        asked = []
        for request in state.requests:
            by_manual, ours = comparison.by_manual(request), comparison.ours(request)
            if comparison.may_ask(by_manual):
                asked.append((request, by_manual, ours))
            else:
                counted["not asked: it would touch what is not the test's"] += 1
        answers = comparison.ask([request for request, *_ in asked], [expected for _, expected, _ in asked])
        self.compared += len(asked)
        for (request, by_manual, ours), answer in zip(asked, answers, strict=True):
            got = comparison.happened(request, answer)
            known = departs(self.oracle.version, by_manual, got, request, comparison.registers)
            if known is not None:
                self.seen[known] += 1
            elif got != by_manual:
                self.differing.append(describe(number, comparison, request, ours, by_manual, got))
            what = f"vector {got.vector}, error code {got.error:#x}" if isinstance(got, Raised) else "completed"
            counted[f"{self.oracle.levels}-level: {what}"] += 1
            if ours is None:
                counted["gdbtools says that it cannot know: a table is where no memory is"] += 1
            elif ours != by_manual:
                self.ours_differing.append(describe(number, comparison, request, ours, by_manual, got))
        comparison.put_back()

    def first(self, differing: list[str]) -> str:
        return first_of(differing, self.compared, f"QEMU {self.oracle.version}")


@pytest.fixture(scope="module")
def run(oracle: X86Oracle, counted: Counter[str]) -> Run:
    """Everything that is asked of one configuration."""
    run = Run(oracle)
    for number in count(SEED):
        if run.compared >= CASES:
            break
        run.of(number, counted)
    for known, often in run.seen.items():
        counted[f"QEMU {oracle.version} departs: {known.value.what}; {known.value.rule}"] += often
    return run


def test_each_access_is_what_the_manual_says_but_for_the_departures(run: Run) -> None:
    assert run.compared >= CASES
    assert not run.differing, run.first(run.differing)


def test_each_access_is_what_gdbtools_says(run: Run) -> None:
    assert not run.ours_differing, run.first(run.ours_differing)


def test_the_command_says_the_same_of_the_ram_and_the_registers(
    oracle: X86Oracle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "registers.json"
    said = set()
    for number in range(SEED, SEED + 4):
        state = Drawing(oracle.levels, number, oracle.abilities).draw()
        comparison = Comparison(oracle, state)
        for request in state.requests[:8]:
            expected = comparison.by_manual(request)
            if comparison.ours(request) is None:
                continue
            main(comparison.command(request, file))
            result = json.loads(capsys.readouterr().out)["result"]
            if isinstance(expected, int):
                assert int(result["output"], 16) == expected
                assert "fault" not in result
            elif expected.vector == PF:
                assert int(result["fault"]["status"], 16) == expected.error
            else:
                assert result["fault"]["status"] is None
            said.add(expected if isinstance(expected, Raised) else None)
    assert len(said) > 2, "too few kinds of answers were met to tell"
