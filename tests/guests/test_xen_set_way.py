"""A guest under a real Xen does one DC CISW: the trap, what Xen makes of stage 2, and what it costs, at Xen's EL2.

The oracles are Xen, whose own walk is counted by a breakpoint on its own function, and QEMU, which raises each fault.

Xen 4.17 clears the valid bits of as many of its root's tables as the number of the root's level says: of one of the two
where that is level 1, and of none where it is level 0 (`p2m_invalidate_root` counts to P2M_ROOT_LEVEL, and was to count
to P2M_ROOT_PAGES).  There, nothing of what follows from soft-invalid entries is to be seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from gdbtools.errors import Unavailable
from gdbtools.machine.symbols import symbol_values
from tests.guests.packages import xen
from tests.guests.xen_domains import GUEST_BYTES, SET_WAY_GUEST, domains, image
from tests.guests.xen_symbols import symbols
from tests.live.session import INIT, INSIDE, Session

pytestmark = pytest.mark.guest

MIB = 1 << 20
BLOCKS, PAGES = GUEST_BYTES // (2 * MIB), GUEST_BYTES // 4096
TSW, TVM = 1 << 22, 1 << 26
MOST_ROOT_TABLES = 16
LOOKED_UP, CLEARED = "p2m_get_entry", "p2m.c#p2m_invalidate_table"
FIRST, SECOND = 0x4000_0000, 0x4020_0000
"""The block of 2 MiB that the guest runs in, and the one after it."""


@dataclass
class Course:
    """What was answered on the way of the guest, by what had just happened."""

    faults: dict[str, Any] = field(default_factory=dict)
    censuses: dict[str, Any] = field(default_factory=dict)
    controls: dict[str, tuple[int, int]] = field(default_factory=dict)
    """HCR_EL2 and the VMID that is loaded."""
    root: int = 0
    """The frame of its root, which is of this level."""
    root_level: int = 0
    watched: str = ""
    """What was printed until the guest went on, or the watchpoint on the root's entry stopped it."""
    looked_up: list[int] = field(default_factory=list)
    """The guest's frames that Xen has looked up in stage 2 while it cleaned."""
    cleared: list[int] = field(default_factory=list)
    """The frames of the root's tables whose entries Xen has made soft-invalid then."""
    difference: Any = None
    elsewhere: str = ""


@contextmanager
def under_xen(cpu: str, extra: Sequence[str] = ()) -> Iterator[Session]:
    """Yield a session at the beginning of the guest that plays; the other one runs for ever."""
    try:
        xen()
    except Unavailable as why:
        pytest.skip(str(why))
    with domains(cpu, [image(), image(plays=0)], options=extra) as qemu, Gdb(find_gdb(), INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        session.attach(SET_WAY_GUEST, str(qemu.gdbstub))
        to(session, label("set_way"))
        yield session


def label(name: str) -> int:
    return symbol_values(SET_WAY_GUEST)[name]


def to(session: Session, address: int) -> None:
    """Run to an address, if it is not there, leaving every other breakpoint out."""
    session.say("delete")
    if session.value("$pc") == address:
        return
    session.say(f"hbreak *{address:#x}")
    session.say("continue")
    assert session.value("$pc") == address
    session.say("delete")


def calls(session: Session, arguments: Mapping[str, str], until: Callable[[], str]) -> list[list[int]]:
    """Return an argument of each call of some of Xen's functions, until something else has stopped it."""
    for function, argument in arguments.items():
        session.say(f'dprintf *{symbols(xen())[function]:#x},"{function}: %lx\\n",{argument}')
    said = until()
    return [[int(each, 16) for each in re.findall(rf"^{re.escape(name)}: (\w+)", said, re.M)] for name in arguments]


def controls(session: Session) -> tuple[int, int]:
    return session.value("$HCR_EL2"), session.value("$VTTBR_EL2") >> 48


CPU = "cortex-a53"
"""Whose stage 2 has three levels, the first of them in two tables side by side; the others have four, from level 0."""
CPUS = (CPU, *(pytest.param(each, marks=pytest.mark.full) for each in ("cortex-a57", "max")))


@pytest.fixture(scope="module", params=CPUS)
def course(qemu: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Course:
    found, before = Course(), tmp_path_factory.mktemp("xen") / "before.core"
    with under_xen(request.param) as session:
        play(session, found, before)
    return found


def play(session: Session, found: Course, before: Path) -> None:
    def look(name: str) -> None:
        found.controls[name] = controls(session)
        (found.censuses[name],) = session.ask("stage2")

    def caught(name: str) -> None:
        session.say("continue")
        (found.faults[name],) = session.ask("fault")

    session.say("mmu catch set-way")
    caught("set/way")
    look("set/way")
    session.say(f"mmu capture {before}")
    session.say("delete")

    # Xen cleans all of the memory first, and then takes the root's entry away, if it does, before the guest goes on.
    found.root_level = found.censuses["set/way"]["levels"][0]["level"]
    session.say(f"mmu watch {FIRST:#x} --regime stage2 --level {found.root_level}")
    session.say(f"hbreak *{label('cleaned'):#x}")

    def go() -> str:
        found.watched = session.say("continue")
        return found.watched

    found.looked_up, cleared = calls(session, {LOOKED_UP: "$x1", CLEARED: "$x1"}, go)
    # Xen does the same to each guest when it is started, and may start the other one now.
    found.root = int(found.censuses["set/way"]["root"], 16) >> 12
    found.cleared = [each for each in cleared if found.root <= each < found.root + MOST_ROOT_TABLES]
    look("invalidated")
    session.say("delete")
    session.say("mmu catch translation --regime stage2 --access execute")
    session.say(f"hbreak *{label('pauses'):#x}")
    session.say("continue")
    if session.value("$pc") != label("pauses"):
        (found.faults["fetched again"],) = session.ask("fault")

    to(session, label("pauses"))
    look("goes on")
    (found.difference,) = session.ask(f"diff {before} --regime stage2")
    to(session, label("waits"))
    found.controls["other guest"] = controls(session)
    to(session, label("pauses"))
    session.set_registers(x5=1)
    session.say("mmu catch system-register --regime el2")
    caught("virtual memory register")
    session.say("delete")

    session.say("mmu catch translation --regime stage2 --access read --privilege EL1")
    for name in ("device", "nothing", "beyond"):
        caught(name)
    session.say("stepi 20")
    found.elsewhere = " ".join(session.say("mmu fault").split())


# --- The trap.


def test_set_way_is_caught_at_el2_and_named_with_the_bit_that_traps_it(course: Course) -> None:
    fault = course.faults["set/way"]
    trapped, of_no_table = "trapped to EL2 by HCR_EL2.TSW=1", "not a matter of the translation tables"
    assert fault["sentence"] == f"EL1 DC CISW, XZR: {trapped}: {of_no_table}."
    assert int(fault["return_address"], 16) == label("set_way")
    assert (fault["current"], fault["vector_entry"]) == (True, "lower EL, AArch64")
    assert course.controls["set/way"][0] & (TSW | TVM) == TSW


def test_then_its_virtual_memory_registers_are_trapped_too_and_those_of_no_other_guest(course: Course) -> None:
    playing, other = course.controls["goes on"], course.controls["other guest"]
    assert playing[1] != other[1]
    assert (playing[0] & TVM, other[0] & TVM) == (TVM, 0)
    assert course.faults["virtual memory register"]["sentence"].startswith(
        "EL1 MSR TTBR0_EL1, X0: trapped to EL2 by HCR_EL2.TVM=1: "
    )
    (cpu,) = course.censuses["goes on"]["cpus"]
    assert [each["value"] for each in cpu["traps"] if each["field"] == "TVM"] == [1]


# --- What becomes of stage 2.


def counts(census: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return how many leaves there are, how many are soft-invalid, and how many lie below what is."""
    groups = census["leaves"]
    return tuple(sum(each[name] for each in groups) for name in ("leaves", "soft_invalid", "below_soft_invalid"))  # type: ignore[return-value]


def test_before_it_hardware_reaches_every_block(course: Course) -> None:
    assert counts(course.censuses["set/way"]) == (BLOCKS, 0, 0)


def test_xen_clears_valid_bits_of_as_many_tables_of_the_root_as_its_level_is(course: Course) -> None:
    assert course.cleared == [course.root + number for number in range(course.root_level)]


def test_watch_shows_the_only_write_to_the_roots_entry_and_stops_at_none_where_there_is_none(course: Course) -> None:
    writers = re.findall(r"writer +(0x[0-9a-f]+)", course.watched)
    assert course.watched.count("TYPE 0b11 -> 0b10 in the level") == len(writers) == len(course.cleared)
    first = symbols(xen())[CLEARED]
    assert all(first < int(each, 16) < first + 0x90 for each in writers), "the function that does it"
    cut_off = BLOCKS if course.cleared else 0
    assert counts(course.censuses["invalidated"]) == (BLOCKS, 0, cut_off)


def test_the_next_fetch_is_refused_by_what_is_soft_invalid_if_anything_is(course: Course) -> None:
    assert ("fetched again" in course.faults) == bool(course.cleared)
    fault = course.faults.get("fetched again")
    if fault is not None:
        assert fault["verdict"] == "tables agree"
        assert fault["second_stage"] == {"cause": "soft invalid", "ipa": f"{label('cleaned'):#018x}"}


def test_when_it_goes_on_all_blocks_but_its_own_are_soft_invalid(course: Course) -> None:
    assert counts(course.censuses["goes on"]) == (BLOCKS, BLOCKS - 1 if course.cleared else 0, 0)


def test_diff_shows_exactly_these_blocks(course: Course) -> None:
    changes = [(int(each["first"], 16), each["size"]) for each in course.difference["changes"]]
    assert changes == ([(SECOND, (BLOCKS - 1) * 2 * MIB)] if course.cleared else [])
    (changed,) = [each for each in course.difference["registers"]["differing"] if each["name"] == "HCR_EL2"]
    assert [each["name"] for each in changed["fields"]] == ["TVM"]


# --- What it costs.


def test_the_bill_is_the_number_of_steps_that_xens_own_walk_takes(course: Course) -> None:
    bill = course.censuses["set/way"]["bill"]
    # Xen may be interrupted within a block, and looks that one up again to go on.
    blocks = [frame * 4096 // (2 * MIB) for frame in course.looked_up]
    assert blocks == sorted(blocks), "in order of address"
    steps = [frame for frame in course.looked_up if frame * 4096 % (2 * MIB) == 0]
    assert len(set(blocks)) == len(set(steps)) == bill["steps"] == BLOCKS
    now, *_ = bill["mapped"]
    assert (now["how"], now["entries"], now["size"]) == ("as it is", BLOCKS, GUEST_BYTES)


def called_with(log: str) -> list[int]:
    """Return the first argument of each call; one that an interrupt kept from being begun is logged once more."""
    begun: list[int] = []
    for value in re.findall(r"^Stopped execution|\bX00=([0-9a-f]+)", log, re.MULTILINE):
        if value:
            begun.append(int(value, 16))
        else:
            begun.pop()
    return begun


@pytest.mark.full
@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a57", "max"])
def test_it_cleans_each_page_once(qemu: str, tmp_path: Path, cpu: str) -> None:
    """QEMU logs the registers wherever it begins to execute at the function: a stop at each would take hours."""
    log = tmp_path / "log"
    first = symbols(xen())["flush_page_to_ram"]
    logged = ("-d", "exec,cpu,nochain", "-dfilter", f"{first:#x}+4", "-D", str(log))
    with under_xen(cpu, logged) as session:
        (census,) = session.ask("stage2")
        before = log.stat().st_size
        to(session, label("pauses"))
        with log.open() as lines:
            lines.seek(before)
            frames = called_with(lines.read())
    assert len(frames) == len(set(frames)) == PAGES
    assert len(frames) * 4096 // census["bill"]["line"] == census["bill"]["mapped"][0]["lines"]


# --- What it reads where it has no memory.


@pytest.mark.parametrize(
    ("name", "va", "ipa", "said"),
    [
        (
            "device",
            0x8300_1000,
            0x0300_1000,
            "and IPA 0x3001000 is the guest's device interrupt-controller@3001000 (arm,gic-v3): left to be emulated.",
        ),
        ("nothing", 0x8900_0000, 0x0900_0000, "and the guest's device tree has nothing at IPA 0x9000000."),
        ("beyond", 0x5000_0000, 0x5000_0000, "and the guest's device tree has nothing at IPA 0x50000000."),
    ],
)
def test_an_abort_of_stage_2_is_decoded_to_the_ipa_and_the_device(
    course: Course, name: str, va: int, ipa: int, said: str
) -> None:
    fault = course.faults[name]
    assert fault["verdict"] == "tables agree"
    assert fault["sentence"].startswith(f"EL1 read of {va:#x}: stage 2 translation fault, level ")
    assert fault["sentence"].endswith(said)
    assert int(fault["ipa"], 16) == ipa, "by HPFAR_EL2"
    assert int(fault["walk"]["ipa"], 16) == ipa, "by the guest's own tables"
    found = fault["second_stage"]
    assert (int(found["ipa"], 16), FIRST <= int(found["device_tree"]["ipa"], 16) < FIRST + GUEST_BYTES) == (ipa, True)
    assert found["device_tree"]["whose"] == "guest"


def test_what_qemu_has_at_that_number_is_said_and_not_taken_for_the_guests(course: Course) -> None:
    assert course.faults["nothing"]["second_stage"]["machine_has"] == "the device pl011"
    assert "machine_has" not in course.faults["device"]["second_stage"]


def test_behind_the_entry_the_registers_are_the_last_guests_and_the_fault_the_last_one(course: Course) -> None:
    assert course.elsewhere.startswith("last exception: EL1 read of 0x50000000: stage 2 translation fault")
    vmid = course.controls["goes on"][1]
    assert f"VTTBR_EL2 (VMID {vmid}) and HCR_EL2 are those of the last one loaded" in course.elsewhere
