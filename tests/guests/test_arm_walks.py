"""AArch32's walker in QEMU, the manual's rules and gdbtools: translation operations, loads, stores and fetches.

Three witnesses: the hardware that QEMU plays, the manual's rules written apart from the code, and our own answer.

Each run draws new states; the seed is printed, and GDBTOOLS_SEED=N repeats it. GDBTOOLS_ORACLE_CASES sets how many
questions are compared in each configuration.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest

from gdbtools.addresses import PA, VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Access, AccessKind, Mapped, written_down
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable, Unreadable
from tests.guests import packages
from tests.guests.arm.departures import CPUS, Known
from tests.guests.arm.oracle import (
    BY_USER,
    COMPLETED,
    DATA,
    DATA_ABORT,
    DATA_BYTES,
    FETCHES,
    FIRST_PAGE,
    PAN,
    PREFETCH_ABORT,
    RAM,
    RAM_BYTES,
    REQUEST_BYTES,
    REQUESTS,
    STORES,
    SVC,
    UNDEFINED,
    UNPRIVILEGED,
    Answer,
    ArmOracle,
    Operation,
    Request,
    page_of,
    word_of,
)
from tests.guests.arm.rules import Kind, Rules, Seen, Touch
from tests.guests.arm.states import Drawing, State
from tests.guests.packages import QEMU_SUITES
from tests.guests.states import FULL_RUN, SEED, counting, first_of

CASES = int(os.environ.get("GDBTOOLS_ORACLE_CASES", "25000" if FULL_RUN else "3000"))
"""Of each configuration: two of the system's QEMU, and in a full run of others, too."""
PROGRAM = "qemu-system-arm"
# The newest, too: between them nothing is listed.
NAMES = ("system", QEMU_SUITES[-1]) if FULL_RUN else ("system",)
KINDS = {Kind.LOAD: AccessKind.READ, Kind.STORE: AccessKind.WRITE, Kind.FETCH: AccessKind.EXECUTE}

pytestmark = pytest.mark.guest


@pytest.fixture(scope="module", params=[(name, cpu) for name in NAMES for cpu in CPUS], ids=lambda each: "-".join(each))
def oracle(request: pytest.FixtureRequest) -> Iterator[ArmOracle]:
    name, cpu = request.param
    try:
        qemu = packages.qemu(name, PROGRAM)
    except Unavailable as missing:
        pytest.skip(str(missing))
    oracle = ArmOracle(qemu, cpu)
    if not departures(oracle) and oracle.version not in {each for known in Known for each in known.value.versions}:
        pytest.skip(f"where QEMU {qemu.version} departs from the manual is not known")
    with oracle:
        yield oracle


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    yield from counting("AArch32 walks")


def departures(oracle: ArmOracle) -> frozenset[Known]:
    return frozenset(
        known for known in Known if oracle.version in known.value.versions and oracle.cpu in known.value.cpus
    )


def touch_of(request: Request) -> Touch:
    operation = request.operation
    kind = Kind.STORE if operation in STORES else Kind.FETCH if operation in FETCHES else Kind.LOAD
    user = operation in BY_USER or operation in UNPRIVILEGED
    return Touch(request.va, kind, user, bool(request.state & PAN))


@dataclass
class Comparison:
    """One state's questions."""

    oracle: ArmOracle
    state: State
    registers: dict[str, int]

    def read(self, pa: int, size_bytes: int) -> bytes:
        if not RAM <= pa <= RAM + RAM_BYTES - size_bytes:
            raise Unreadable(PA(pa), size_bytes, "no memory is there")
        return self.oracle.read(pa, size_bytes)

    def ours(self, request: Request) -> Seen:
        """Return gdbtools' own answer, by registers and memory alone."""
        architecture, touch = ARCHITECTURES["aarch32"], touch_of(request)
        cpsr = 0b10011 | request.state
        register = written_down({**self.registers, "cpsr": cpsr})
        found = walk(architecture.regime_for(register, VA(request.va)), VA(request.va), self.read)
        privilege = architecture.privileges[request.operation not in BY_USER]
        access = Access(KINDS[touch.kind], privilege, request.operation in UNPRIVILEGED)
        refused = architecture.check(found, access, cpsr)
        if refused is not None:
            status = architecture.status(refused.fault, access, found)
            assert status is not None, "each fault of a walk has a status"
            return Seen(status)
        assert isinstance(found.outcome, Mapped)
        return Seen(pa=found.outcome.address)

    def is_asked(self, request: Request, seen: Seen) -> bool:
        """Return whether hardware may be asked: nothing real may touch what is not the test's."""
        if request.operation.is_translation or seen.pa is None:
            return True
        return DATA <= seen.pa < DATA + DATA_BYTES

    def happened(self, request: Request, answer: Answer, expected: Seen) -> Seen:
        """Return what the guest tells, as far as it does: what it cannot is as expected."""
        if request.operation.is_translation:
            return self._translated(answer, expected)
        if answer.outcome in (PREFETCH_ABORT, DATA_ABORT):
            is_fetch = request.operation in FETCHES
            assert (answer.outcome == PREFETCH_ABORT) is is_fetch, "a fetch is refused by a prefetch abort"
            assert answer.address == request.va, f"{answer.address:#x} in DFAR or IFAR"
            assert bool(answer.status >> 9 & 1) is self.state.is_long, "LPAE says which format it was"
            assert is_fetch or bool(answer.status >> 11 & 1) is (request.operation in STORES), "WnR says what"
            status = answer.status
            return Seen(status & 0x3F if self.state.is_long else status & 0xF | status >> 6 & 0x10)
        completed = UNDEFINED if request.operation in FETCHES else SVC
        if request.operation in BY_USER:
            assert answer.outcome == completed, f"vector {answer.outcome:#x}, HSR {answer.hsr:#x}"
        if request.operation in STORES or request.operation is Operation.FETCH_PL0:
            return Seen(pa=expected.pa)  # where a store went, memory tells
        if request.operation is Operation.FETCH_PL1:
            return Seen(pa=DATA + (answer.outcome - FIRST_PAGE << 12) | request.va & 0xFFF)
        assert answer.outcome in (COMPLETED, SVC), f"vector {answer.outcome:#x}, HSR {answer.hsr:#x}"
        page = page_of(answer.value)
        return Seen(pa=None if page is None else page | request.va & 0xFFF)

    def _translated(self, answer: Answer, expected: Seen) -> Seen:
        par = answer.address << 32 | answer.status
        if par & 1:
            return Seen(par >> 1 & 0x3F if self.state.is_long else par >> 1 & 0xF | par >> 1 & 0x10)
        known = (1 << 40) - (1 << 12) if self.state.is_long else 0xFF00_0000 if par & 0b10 else 0xFFFF_F000
        if expected.pa is None:
            return Seen(pa=par & known)
        # A supersection's bits from 32 on are elsewhere in PAR, and QEMU does not put them there.
        return Seen(pa=par & known | expected.pa & ~known)


@dataclass
class Run:
    """What came of one oracle's questions."""

    oracle: ArmOracle
    compared: int = 0
    differing: list[str] = field(default_factory=list)
    ours_differing: list[str] = field(default_factory=list)
    seen: Counter[Known] = field(default_factory=Counter)

    def of(self, number: int, counted: Counter[str]) -> None:
        """Draw a state, ask everything about it, and compare."""
        oracle = self.oracle
        state = Drawing(number, bool(oracle.identity["ID_MMFR3"] >> 16 & 0xF)).draw()
        for pa, entry in state.tables.items():
            oracle.write(pa, entry)
        comparison = Comparison(oracle, state, oracle.set(state.registers, state.stub_va or (0, 0)))
        manual = Rules(comparison.registers, comparison.read)
        qemu = Rules(comparison.registers, comparison.read, departures(oracle))
        asked: list[tuple[Request, Seen, Seen, Seen]] = []
        stored: dict[int, int] = {}
        for request in state.requests:
            touch = touch_of(request)
            qemu.fired.clear()
            try:
                by_manual, by_qemu, own = manual.access(touch), qemu.access(touch), comparison.ours(request)
            except Unreadable:
                counted["not asked: a table is where no memory is"] += 1
                continue
            if not comparison.is_asked(request, by_qemu):
                counted["not asked: it would touch what is not the test's"] += 1
                continue
            if by_manual != by_qemu:
                self.seen.update(qemu.fired)
            if request.operation in STORES and not request.operation.is_translation and by_qemu.pa is not None:
                stored[by_qemu.pa] = REQUESTS + len(asked) * REQUEST_BYTES
            asked.append((request, by_manual, by_qemu, own))
        answers = oracle.ask([request for request, *_ in asked])
        self.compared += len(asked)
        for (request, by_manual, by_qemu, own), answer in zip(asked, answers, strict=True):
            got = comparison.happened(request, answer, by_qemu)
            if got != by_qemu:
                said = f"QEMU: {got}, expected {by_qemu}; {answer}"
                self.differing.append(describe(number, comparison, request, said))
            if own != by_manual:
                said = f"gdbtools: {own}, by the manual {by_manual}"
                self.ours_differing.append(describe(number, comparison, request, said))
            counted[f"{'long' if state.is_long else 'short'} descriptors: {_in_words(by_manual)}"] += 1
        for pa, word in stored.items():
            if oracle.half(pa) != word:
                self.differing.append(
                    f"GDBTOOLS_SEED={number}: at {pa:#x} is {oracle.half(pa):#x}, stored was {word:#x}"
                )
            oracle.write(pa, word_of(pa - DATA >> 12).to_bytes(4, "little"))
        for pa, entry in state.tables.items():
            oracle.write(pa, bytes(len(entry)))

    def first(self, differing: list[str]) -> str:
        return first_of(differing, self.compared, f"{self.oracle.cpu}, QEMU {self.oracle.version}")


def _in_words(seen: Seen) -> str:
    return "completed" if seen.status is None else f"fault status {seen.status:#04x}"


def describe(number: int, comparison: Comparison, request: Request, said: str) -> str:
    lines = [f"GDBTOOLS_SEED={number}", f"{request.operation.name} {request.va:#x} CPSR {request.state:#x}: {said}"]
    return "\n".join([*lines, *(f"  {name} {value:#x}" for name, value in comparison.registers.items())])


@pytest.fixture(scope="module")
def run(oracle: ArmOracle, counted: Counter[str]) -> Run:
    """Everything that is asked of one configuration."""
    run = Run(oracle)
    for number in count(SEED):
        if run.compared >= CASES:
            break
        run.of(number, counted)
    for known, often in run.seen.items():
        counted[f"QEMU {oracle.version} departs: {known.value.what}; {known.value.rule} ({known.value.heading})"] += (
            often
        )
    return run


def test_each_access_is_what_the_manual_says_but_for_the_departures(run: Run) -> None:
    assert run.compared >= CASES
    assert not run.differing, run.first(run.differing)


def test_each_access_is_what_gdbtools_says(run: Run) -> None:
    assert run.compared >= CASES
    assert not run.ours_differing, run.first(run.ours_differing)


@pytest.mark.full
def test_each_departure_is_seen(run: Run) -> None:
    never = [known.name for known in departures(run.oracle) if not run.seen[known]]
    assert not never, f"QEMU {run.oracle.version} is said to depart by {', '.join(never)}, and never did"
