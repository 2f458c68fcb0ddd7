"""Kernel page-table isolation of a stock Debian kernel under load: no answer depends on where Ctrl-C landed.

The seed that QEMU's virt machine passes turns KASLR on, and KASLR turns isolation on where the CPU does not say that
it needs none (ID_AA64PFR0_EL1.CSV3: a cortex-a57 does not, `-cpu max` does).
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.cli import main
from gdbtools.errors import Unavailable
from tests.conftest import GDBS
from tests.guests.linux import RAM, LinuxGuest
from tests.guests.test_linux import Shape
from tests.guests.test_vmcoreinfo import written_by
from tests.live.ctrl_c import ctrl_c
from tests.live.session import INIT, INSIDE, Session
from tests.said import say

pytestmark = pytest.mark.guest

ISOLATED, WHOLE = Shape("6.1-4k", "cortex-a57"), Shape("6.12-4k", "max")
SEED = int(os.environ.get("GDBTOOLS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
STOPS, MANY_STOPS, MOST_STOPS = 4, 50, 60
"""How many stops, at least; and until both levels were seen, or so many."""
MOST_FAULTS = 3000
"""Until one of each kind was seen: a process that starts has some hundred of EL0's for each of EL1's."""
PAGE_BYTES = 1 << 12
VMALLOC, VMALLOC_END = 0xFFFF_8000_0000_0000, 0xFFFF_FB00_0000_0000
ACCESSED, PXN = 1 << 10, 1 << 53
IMAGE_BYTES = 1 << 26
BASE = 0xFFFF_FFFF_F000
"""A table base register without ASID and CnP."""
CHECK = "map --perm wx --el1 --expect-none"
EL0, EL1 = 0, 1
MARK = b"GDBTOOLS MARKS THIS PAGE OF A FILE: "
COPIED = f"while :; do read -r line < /marked; for n in {' 1' * 200}; do :; done; done"
"""Is in user space, and has the kernel copy a page of its own to it, again and again."""
LAST_WRITE = 0x9200_004F
"""ESR_EL1 of a write of EL0's: a permission fault at level 3."""
ENDING = "while :; do (for n in 1 2 3 4 5 6 7 8 9; do :; done); done"
"""Has processes that are made by fork, run and end."""
PAGING = "while :; do dd if=/dev/zero of=/dev/null bs=64k count=1 2>/dev/null; done"
"""Has new processes page themselves in at EL0, and the kernel write to their pages that are not there yet."""


@dataclass(frozen=True)
class Case:
    """A guest, and the GDB it is looked at with."""

    shape: Shape
    debugger: str

    def __str__(self) -> str:
        return f"{self.shape}-{self.debugger}"


ONE, OTHER = GDBS
CASES = (Case(ISOLATED, ONE), Case(WHOLE, OTHER))
FULL_CASES = (Case(ISOLATED, OTHER), Case(WHOLE, ONE))


@pytest.fixture(
    scope="module", params=[*CASES, *(pytest.param(each, marks=pytest.mark.full) for each in FULL_CASES)], ids=str
)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def shape(case: Case) -> Shape:
    return case.shape


@pytest.fixture(scope="module")
def debugger(case: Case) -> str:
    program, install = GDBS[case.debugger]
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{case.debugger} is not installed; install it: {install}")
    return path


@pytest.fixture(scope="module")
def linux(shape: Shape) -> Iterator[LinuxGuest]:
    try:
        guest = shape.guest()
    except Unavailable as missing:
        pytest.skip(str(missing))
    with guest:
        text = MARK.decode()
        guest.run(f"x='{text}'; n=0; while test $n -lt 100; do echo \"$x\"; n=$((n+1)); done > /marked")
        yield guest


@contextmanager
def attached(guest: LinuxGuest, debugger: str) -> Iterator[Session]:
    with Gdb(debugger, INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        session.say(f"target remote {guest.gdbstub}")
        try:
            yield session
        finally:
            gdb.run("delete")
            gdb.run("detach")


def level(session: Session) -> int:
    return session.value("$cpsr") >> 2 & 3


def elsewhere(session: Session, draw: random.Random) -> int:
    """Let the guest run on until Ctrl-C, and return the level at which it landed."""
    with ctrl_c(session.gdb.pid, draw.uniform(0.03, 0.1), again=5):
        session.gdb.run("continue")
    return level(session)


def hidden(session: Session, swapper: int) -> bool:
    """Return whether another root than the kernel's own is in TTBR1: at EL0, and on the way in and out."""
    return session.value("$TTBR1_EL1") & BASE != swapper


def stopped(session: Session, el: int, draw: random.Random, swapper: int) -> None:
    """Stop at EL0, or in the kernel proper."""
    for _ in range(10 * MOST_STOPS):
        if level(session) == el and not (el == EL1 and hidden(session, swapper)):
            return
        elsewhere(session, draw)
    raise AssertionError(f"never seen at EL{el}")


def kernels_vectors(session: Session, draw: random.Random, swapper: int, stext: int) -> int:
    """Return where the kernel proper has its vectors: on the way in and out its root is in force and VBAR is not."""
    for _ in range(MOST_STOPS):
        stopped(session, EL1, draw, swapper)
        vectors = session.value("$VBAR")
        if stext <= vectors < stext + IMAGE_BYTES:
            return vectors
        elsewhere(session, draw)
    raise AssertionError("VBAR was never seen in the kernel's image")


def physical(info: Mapping[str, str], symbol: str) -> int:
    """Return where the kernel itself says, in VMCOREINFO, that a symbol is: swapper_pg_dir is its own root."""
    return int(info[f"SYMBOL({symbol})"], 16) - int(info["NUMBER(kimage_voffset)"], 0) & (1 << 64) - 1


@dataclass(frozen=True)
class Planted:
    """A kernel's page that has been made executable, and is writable."""

    va: int
    descriptor: int


@contextmanager
def planted(guest: LinuxGuest, session: Session) -> Iterator[Planted]:
    """Make a page of the kernel's own data executable, which nobody is told of; the guest is stopped.

    One above the linear map: the tables of that deny execution themselves.
    """
    (found,) = session.ask(f"map {VMALLOC:#x},{VMALLOC_END:#x} --perm rw- --el1 --size 4k --space kernel")
    va = next(int(run["first"], 16) for run in found["runs"] if not run["attributes"]["contiguous"])
    (walked,) = session.ask(f"walk {va:#x} --space kernel")
    at = int(walked["steps"][-1]["descriptor_address"], 16)
    before = session.descriptor(at)
    write(guest, at, before & ~PXN)
    try:
        yield Planted(va, at)
    finally:
        write(guest, at, before)


def write(guest: LinuxGuest, pa: int, word: int) -> None:
    guest.ram[pa - RAM : pa - RAM + 8] = word.to_bytes(8, "little")


def stops(count: int, linux: LinuxGuest, shape: Shape, debugger: str) -> Counter[int]:
    """Stop so often under load, and find a planted page at each; return the levels at which it was stopped."""
    draw = random.Random(SEED)
    seen: Counter[int] = Counter()
    swapper = physical(written_by(linux), "swapper_pg_dir")
    with linux.process(COPIED), attached(linux, debugger) as session, planted(linux, session) as page:
        while seen.total() < count or (len(seen) < 2 and seen.total() < MOST_STOPS):
            el = elsewhere(session, draw)
            seen[el] += 1
            (found,) = session.ask(CHECK)
            [run] = found["runs"]
            assert int(run["first"], 16) <= page.va <= int(run["last"], 16), f"at EL{el}"
            hides = hidden(session, swapper)
            assert hides >= (el == EL0 and shape is ISOLATED)
            assert run["space"] == ("kernel" if hides else "current")
            assert (found["isolation"] is not None) == hides
            assert found["looked_at"]["leaves"] > 10_000
    say(f"{shape}: {seen[EL0]} stops at EL0 and {seen[EL1]} at EL1, seed {SEED}")
    assert set(seen) == {EL0, EL1}
    assert linux.run("echo alive") == "alive"
    return seen


def test_a_planted_page_is_found_wherever_ctrl_c_lands(linux: LinuxGuest, shape: Shape, debugger: str) -> None:
    stops(STOPS, linux, shape, debugger)


@pytest.mark.full
def test_a_planted_page_is_found_at_each_of_fifty_stops(linux: LinuxGuest, shape: Shape, debugger: str) -> None:
    assert stops(MANY_STOPS, linux, shape, debugger).total() >= MANY_STOPS


def test_the_full_root_is_the_one_that_the_kernel_itself_names(
    linux: LinuxGuest, shape: Shape, debugger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """VMCOREINFO has swapper_pg_dir; and a capture at EL0 has all of the kernel that the guest has."""
    info = written_by(linux)
    swapper = physical(info, "swapper_pg_dir")
    with linux.process(COPIED), attached(linux, debugger) as session:
        draw = random.Random(SEED)
        vectors = kernels_vectors(session, draw, swapper, int(info["SYMBOL(_stext)"], 16))
        stopped(session, EL0, draw, swapper)
        known = session.ask("status")[0]["isolation"]
        if shape is WHOLE:
            assert known is None
            return
        assert int(known["full_root"], 16) == swapper
        assert int(known["vectors"][0], 16) == vectors
        stext = int(info["SYMBOL(_stext)"], 16)
        (there,) = session.ask(f"walk {stext:#x} --space kernel")
        assert int(there["output"], 16) == physical(info, "_stext")
        (live,) = session.ask("map --space kernel")
        session.ask(f"capture {tmp_path / 'el0.core'}")
    assert main(["map", "-s", str(tmp_path / "el0.core"), "--space", "kernel", "--json"]) == 0
    assert _result(capsys)["runs"] == live["runs"]


def test_at_el0_no_verdict_is_about_what_the_way_out_left_in_far(
    linux: LinuxGuest, shape: Shape, debugger: str
) -> None:
    """Isolated, x29 goes through FAR_EL1: a verdict about that would be about a frame of the process's stack."""
    draw = random.Random(SEED)
    swapper = physical(written_by(linux), "swapper_pg_dir")
    kinds: Counter[tuple[str, bool]] = Counter()
    with linux.process(PAGING), attached(linux, debugger) as session:
        for _ in range(STOPS):
            elsewhere(session, draw)
            stopped(session, EL0, draw, swapper)
            # Of a call there would be no address to be wrong about.
            (found,) = session.ask(f"fault --with ESR_EL1={LAST_WRITE:#x}")
            same = session.value("$FAR_EL1") == session.value("$x29")
            kinds[found["evidence"]["kind"], same] += 1
            assert (found["evidence"]["kind"] == "overwritten") == (shape is ISOLATED)
            if shape is ISOLATED:
                assert (found["verdict"], found["walk"]) == ("not one exception", None)
                assert ("FAR_EL1 holds x29" in found["sentence"]) == same
    say(f"{shape}: {dict(kinds)}, seed {SEED}")
    assert linux.run("echo alive") == "alive"


def _result(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)["result"]


@pytest.mark.parametrize("first", [EL0, EL1], ids=["set at EL0", "set in the kernel"])
def test_catch_any_sees_demand_paging_of_el0_and_uaccess_faults_of_el1(
    linux: LinuxGuest, shape: Shape, debugger: str, first: int
) -> None:
    """In one session, wherever it was when the catch was set."""
    swapper = physical(written_by(linux), "swapper_pg_dir")
    with linux.process(PAGING), attached(linux, debugger) as session:
        stopped(session, first, random.Random(SEED), swapper)
        session.say("set mmu-at-stop nothing")
        (caught,) = session.ask("catch any")
        sets = {int(each["address"], 16) & -0x800 for each in caught["breakpoints"]}
        assert (len(sets) > 1) == (shape is ISOLATED)
        seen: dict[int, tuple[str, str]] = {}
        for _ in range(MOST_FAULTS):
            said = session.say("continue")
            # Both sets were known when the catch was set, if not each entry of them.
            assert "VBAR_EL1 changed" not in said
            (found,) = session.ask("fault")
            seen[found["access"]["el"]] = (found["vector_entry"], found["verdict"])
            if len(seen) == 2:
                break
        say(f"{shape}, set at EL{first}: {seen}")
        assert {el: entry for el, (entry, _) in seen.items()} == {
            EL0: "lower EL, AArch64",
            EL1: "current EL, SP_ELx",
        }
        assert {verdict for _, verdict in seen.values()} == {"tables agree"}
    assert linux.run("echo alive") == "alive"


def cleared(session: Session, guest: LinuxGuest) -> int:
    """Clear the access flags of the process's pages, and of the kernel's own mapping of the file; count the latter."""
    session.ask("clear-af 0,+0x1000000000000")
    count = 0
    for page in range(0, guest.memory_bytes, PAGE_BYTES):
        if guest.ram[page : page + len(MARK)] != MARK:
            continue
        (found,) = session.ask(f"map --physical {RAM + page:#x},+{PAGE_BYTES:#x} --space kernel")
        for run in (each for each in found["runs"] if int(each["first"], 16) >> 63):
            (walked,) = session.ask(f"walk {run['first']} --space kernel")
            at = int(walked["steps"][-1]["descriptor_address"], 16)
            write(guest, at, session.descriptor(at) & ~ACCESSED)
            count += 1
    return count


def test_service_counts_what_both_halves_had_cleared(linux: LinuxGuest, shape: Shape, debugger: str) -> None:
    """At the trampoline's vectors and at the kernel's own; where hardware sets the flags nothing is left to serve."""
    swapper = physical(written_by(linux), "swapper_pg_dir")
    with linux.process(COPIED) as pid, attached(linux, debugger) as session:
        stopped(session, EL0, random.Random(SEED), swapper)
        assert cleared(session, linux) > 0
        with ctrl_c(session.gdb.pid, 3, begun=True):
            (summary,) = session.ask("service")
        assert summary["ended"] == "interrupted"
        counts = Counter({each["el"]: 0 for each in summary["by"]})
        for each in summary["by"]:
            counts[each["el"]] += each["faults"]
        say(f"{shape}: {counts[EL0]} faults repaired of EL0 and {counts[EL1]} of EL1")
        assert bool(counts[EL0] and counts[EL1]) == (shape is ISOLATED)
        assert counts.total() == summary["faults"]
        session.say("detach")
        assert linux.run(f"kill -0 {pid} && echo alive") == "alive"


def test_watch_at_el0_stops_at_the_kernels_own_write(linux: LinuxGuest, shape: Shape, debugger: str) -> None:
    """The table of a process's stack is mapped by the kernel's own space alone, and written to at each fork and end."""
    swapper = physical(written_by(linux), "swapper_pg_dir")
    with linux.process(ENDING), attached(linux, debugger) as session:
        stopped(session, EL0, random.Random(SEED), swapper)
        (watched,) = session.ask("watch $sp")
        places = [int(each["address"], 16) for each in watched["watchpoints"]]
        assert places
        assert all(place >> 63 for place in places)
        said = " ".join(session.say("continue").split())
        assert f"PA {int(watched['descriptor_address'], 16):#x}, by CPU 0" in said
        assert level(session) == EL1
    assert linux.run("echo alive") == "alive"
