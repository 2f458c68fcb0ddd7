"""A guest's accesses in every mode of x86-64's paging, with nested tables below them and without, by AMD's VMRUN.

32-bit paging, PAE, 4 levels and 5; nested tables of 4 levels and of 5. Three witnesses, as in `test_x86_walks`. Each
run draws new states; the seed is printed, and GDBTOOLS_SEED=N repeats it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Access, AccessKind, Mapped
from gdbtools.arch.walk import walk
from gdbtools.arch.x86_64.translation.second_stage import second_walk
from gdbtools.cli import main
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.sources import open_source
from tests.guests import packages
from tests.guests.packages import QEMU_SUITES
from tests.guests.states import FULL_RUN, SEED, counting, first_of
from tests.guests.x86.accesses import FULL, LENGTHS, X86, Accesses, is_the_tests, touch
from tests.guests.x86.guest_departures import Known, departs
from tests.guests.x86.guest_rules import GuestRules, Nested, NestedFault
from tests.guests.x86.guest_states import MODES, USERS, GuestDrawing, GuestState
from tests.guests.x86.hypervisor import EXCEPTION, NESTED_PAGE_FAULT, Exit, Hypervisor
from tests.guests.x86.oracle import (
    DATA,
    MOST_REQUESTS,
    REQUEST_BYTES,
    REQUESTS,
    TABLES,
    Operation,
    Request,
    word_at,
)
from tests.guests.x86.rules import PF, Raised
from tests.places import ROOT

OF_A_KIND = 2
"""Answers of each kind, of each state, that the command is asked for besides."""
CASES = int(os.environ.get("GDBTOOLS_ORACLE_CASES", "6000" if FULL_RUN else "300"))
"""Of each mode, nested under hosts of 4 and of 5 levels and not nested, in 3 versions of QEMU: 10,800 and 216,000."""
UNDEFINED = EXCEPTION + 6
Outcome = Raised | NestedFault | int

pytestmark = pytest.mark.guest


@pytest.fixture(
    scope="module",
    params=[(name, levels) for name in ("system", *QEMU_SUITES) for levels in (4, 5)],
    ids=lambda each: f"{each[0]}-host-of-{each[1]}-levels",
)
def hypervisor(request: pytest.FixtureRequest) -> Iterator[Hypervisor]:
    name, levels = request.param
    try:
        qemu = packages.qemu(name, "qemu-system-x86_64")
    except Unavailable as missing:
        pytest.skip(str(missing))
    with Hypervisor(qemu, levels) as hypervisor:
        assert hypervisor.has_nested_paging, "-cpu max,+svm,+npt has no nested paging"
        yield hypervisor


@pytest.fixture(scope="module")
def counted() -> Iterator[Counter[str]]:
    yield from counting("x86-64 guests")


class Comparison(Accesses):
    """One state's accesses, each predicted twice before the hardware is asked."""

    users_cs = 0x0B

    def __init__(self, hypervisor: Hypervisor, state: GuestState) -> None:
        super().__init__(hypervisor, state.registers, state.pages)
        self.hypervisor, self.state = hypervisor, state

    def by_manual(self, request: Request, lax: bool = False) -> Outcome:
        bits = self.hypervisor.physical_bits
        nested = Nested(self.registers, self.word, bits) if "ncr3" in self.registers else None
        try:
            return GuestRules(self.registers, self.word, bits, nested, lax).access(touch(request))
        except (Raised, NestedFault) as refused:
            return refused

    def ours(self, request: Request) -> Outcome | None:
        """Return gdbtools' own answer; None where it says that it cannot know."""
        register, access, regime, met = self.asked(request)
        try:
            found = walk(regime, VA(request.va), self.bytes_at, lambda each: X86.check(each, met, request.rflags))
        except Unreadable:
            return None
        refused = X86.check(found, met, X86.state(register))
        if refused is None:
            assert isinstance(found.outcome, Mapped)
            return int(found.outcome.address)
        status = X86.status(refused.fault, access, found)
        if refused.fault.stage == 2:
            below, _ = second_walk(found, refused.fault)
            assert status is not None
            assert below is not None
            return NestedFault(status, below.input)
        return Raised(13, 0) if status is None else Raised(PF, status)

    def may_ask(self, expected: Outcome) -> bool:
        """Return whether an access touches what is the test's own, or nothing."""
        return not isinstance(expected, int) or is_the_tests(expected)

    def happened(self, request: Request, answer: Exit) -> Outcome | str:
        """Return what the guest tells: a word that was loaded or fetched tells where it is."""
        operation, where = request.operation, request.operation & 3
        begin = self.state.stub_va + USERS * operation.is_user + 8 * where
        begin = request.va if operation.is_fetch else begin
        if answer.code == NESTED_PAGE_FAULT:
            return NestedFault(answer.info_1, answer.info_2)
        if answer.code != UNDEFINED or answer.rip != begin + LENGTHS[Operation(where)] & FULL:
            if not EXCEPTION <= answer.code < EXCEPTION + 32:
                return f"exit {answer.code:#x}, {answer.info_1:#x}, {answer.info_2:#x}"
            if answer.code == EXCEPTION + PF and answer.info_2 != request.va:
                return f"cr2 is {answer.info_2:#x}"
            return Raised(answer.code - EXCEPTION, answer.info_1)
        if operation.is_write:
            expected = self.by_manual(request, lax=True)
            stored = isinstance(expected, int) and self.hypervisor.word(expected) & 0xFFFFFFFF
            return expected if stored is not False and stored == self.stores.get(expected) else "stores somewhere else"
        place = DATA + ((answer.value & 0xFFFFFFFF) - word_at(DATA)) * 16
        return place + request.va % 16 if is_the_tests(place) else f"loads {answer.value:#x}"

    def ask(self, asked: list[tuple[Request, Outcome]]) -> list[Exit]:
        """Put the requests to the hardware, and remember what each place of a store has to have afterwards."""
        self.stores: dict[object, int] = {
            pa: REQUESTS + REQUEST_BYTES * (number % MOST_REQUESTS)
            for number, (request, pa) in enumerate(asked)
            if request.operation.is_write and isinstance(pa, int)
        }
        return self.hypervisor.ask(self.registers, [request for request, _ in asked], self.state.stub_va)

    def put_back(self) -> None:
        for pa in self.stores:
            assert isinstance(pa, int)
            self.hypervisor.write(pa, b"\x90" * 4)


class Run:
    """What came of one configuration's accesses."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self.hypervisor = hypervisor
        self.compared: Counter[str] = Counter()
        self.differing: list[str] = []
        self.ours_differing: list[str] = []
        self.seen: Counter[Known] = Counter()

    def drawn(self, mode: str, nested: bool, number: int) -> GuestState:
        levels = self.hypervisor.levels if nested else 0
        return GuestDrawing(mode, levels, number, self.hypervisor.physical_bits).draw()

    def of(self, mode: str, nested: bool, number: int, counted: Counter[str]) -> None:
        """Draw a state, ask everything about it, and compare."""
        comparison, asked = Comparison(self.hypervisor, self.drawn(mode, nested, number)), []
        for request in comparison.state.requests:
            by_manual, ours = comparison.by_manual(request), comparison.ours(request)
            lax = comparison.by_manual(request, lax=True)
            if comparison.may_ask(lax):
                asked.append((request, by_manual, lax, ours))
            else:
                counted["not asked: it would touch what is not the test's"] += 1
        answers = comparison.ask([(request, expected) for request, _, expected, _ in asked])
        name = f"{mode}{', nested' if nested else ''}"
        self.compared[name] += len(asked)
        for (request, by_manual, lax, ours), answer in zip(asked, answers, strict=True):
            got = comparison.happened(request, answer)
            known = departs(self.hypervisor.version, by_manual, lax, got)
            lines = [f"GDBTOOLS_SEED={number} {name}", f"{request.operation.name} {request.va:#x} {request.rflags:#x}"]
            lines += [f"  {each} {value:#x}" for each, value in comparison.registers.items()]
            lines += [f"  gdbtools: {ours}", f"  the manual: {by_manual}", f"  QEMU: {got}"]
            if known is not None:
                self.seen[known] += 1
            elif got != by_manual:
                self.differing.append("\n".join(lines))
            counted[f"{name}: {said(got)}"] += 1
            if ours is None:
                counted["gdbtools says that it cannot know: a table is where no memory is"] += 1
            elif ours != by_manual:
                self.ours_differing.append("\n".join(lines))
        comparison.put_back()

    def first(self, differing: list[str]) -> str:
        return first_of(differing, self.compared.total(), f"QEMU {self.hypervisor.version}")


def said(got: object) -> str:
    if isinstance(got, NestedFault):
        return f"nested page fault {got.info:#x}"
    return f"vector {got.vector}, error code {got.error:#x}" if isinstance(got, Raised) else "completed"


@pytest.fixture(scope="module")
def run(hypervisor: Hypervisor, counted: Counter[str]) -> Run:
    """Everything that is asked of one configuration; what has no nested tables is the same for either host."""
    run = Run(hypervisor)
    for mode in MODES:
        for nested in (True, False) if hypervisor.levels == 4 else (True,):
            name = f"{mode}{', nested' if nested else ''}"
            for number in count(SEED):
                if run.compared[name] >= CASES:
                    break
                run.of(mode, nested, number, counted)
    for known, often in run.seen.items():
        counted[f"QEMU {hypervisor.version} departs: {known.value.what}; {known.value.rule}"] += often
    return run


def test_each_access_is_what_the_manuals_say_but_for_the_departures(run: Run) -> None:
    assert all(each >= CASES for each in run.compared.values())
    assert {name.removesuffix(", nested") for name in run.compared} == set(MODES)
    assert not run.differing, run.first(run.differing)


def test_each_access_is_what_gdbtools_says(run: Run) -> None:
    assert not run.ours_differing, run.first(run.ours_differing)


def test_the_command_says_the_same_of_the_ram_and_the_registers(
    hypervisor: Hypervisor, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, kinds = tmp_path / "registers.json", Counter[type]()
    for number, mode in enumerate(MODES * 2, SEED):
        comparison = Comparison(hypervisor, run.drawn(mode, True, number))
        here = Counter[type]()
        for request in comparison.state.requests:
            expected = comparison.by_manual(request)
            if here[type(expected)] == OF_A_KIND or comparison.ours(request) is None:
                continue
            here[type(expected)] += 1
            main(comparison.command(request, file))
            result = json.loads(capsys.readouterr().out)["result"]
            kinds[type(expected)] += 1
            if isinstance(expected, int):
                assert int(result["output"], 16) == expected
                assert "fault" not in result
                continue
            status = result["fault"]["status"]
            if isinstance(expected, NestedFault):
                assert (result["fault"]["stage"], int(status, 16)) == (2, expected.info)
                where = result.get("refused_fetch", {}).get("ipa") or result["ipa"]
                assert int(where, 16) == expected.gpa
            else:
                assert result["fault"]["vector"] == expected.vector
                assert status is None if expected.vector != PF else int(status, 16) == expected.error
    assert set(kinds) == {int, Raised, NestedFault}, "too few kinds of answers were met to tell"


def test_what_the_pages_show_of_a_capture_is_what_hardware_says_of_it(hypervisor: Hypervisor) -> None:
    if hypervisor.levels != 4:
        pytest.skip("the capture's nested tables have 4 levels; the host of 4 levels is asked about them")
    machine = open_source(str(ROOT / "fixtures/captures/nested.core"))
    for pa in range(TABLES, TABLES + 0x8000, 0x1000):
        hypervisor.write(pa, machine.memory.read(PA(pa), 0x1000))
    registers = {name: machine.register(name) for name in ("cr0", "cr3", "cr4", "efer", "ncr3", "hefer")}
    (answer,) = hypervisor.ask(registers, [Request(0x50008, Operation.USER_STORE)], 0x40000)
    assert (answer.code, answer.info_1, answer.info_2) == (NESTED_PAGE_FAULT, 0x1_0000_0007, 0x30008)
    access = Access(AccessKind.WRITE, X86.privileges[0])
    regime, met = X86.met_by(X86.regime_for(machine.register, VA(0x50008)), access, machine.register)
    found = walk(regime, VA(0x50008), machine.memory.read)
    refused = X86.check(found, met, 2)
    assert refused is not None
    assert X86.status(refused.fault, access, found) == answer.info_1
    assert found.destination is not None
    assert found.destination.address == answer.info_2
