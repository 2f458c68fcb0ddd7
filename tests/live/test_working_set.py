"""`mmu working-set`: exactly what the guest touches, by whom, and afterwards as if nobody had looked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gdbtools.repl.demo import CHECKSUMS
from tests.live.ctrl_c import ctrl_c, moments
from tests.live.recording import with_hardware_flags
from tests.live.session import Live, attached
from tests.live.test_storm import checksum, finished, found, storm
from tests.live.tlb import PAGE_A, PAGE_D, looping

pytestmark = pytest.mark.guest

PAGE = 1 << 12
ARENA = 1 << 39
OWN, SHARED = 1024, 256
"""What each CPU touches alone in a round, and what all of them do; then a leaf for each CPU's timer: guest.h."""
LEAVES = 4 * OWN + SHARED + 4
RANGE = f"{ARENA:#x},+{LEAVES * PAGE:#x}"
FOREVER = 600
"""An interval that a breakpoint ends long before."""
AF = 1 << 10


def touched(sample: Mapping[str, Any]) -> dict[int, Any]:
    """Return by address who touched each page, cut from its run."""
    return {
        at: run["by"]
        for run in sample["runs"]
        for at in range(int(run["first"], 16), int(run["first"], 16) + run["size"], run["leaf_size"])
    }


def pages(cpus: int) -> set[int]:
    """Return the addresses that so many CPUs touch in a round."""
    numbers = {*range(cpus * OWN), *range(4 * OWN, 4 * OWN + SHARED), *range(4 * OWN + SHARED, 4 * OWN + SHARED + cpus)}
    return {ARENA + number * PAGE for number in numbers}


def result(said: str) -> Any:
    """Return the answer of a command that has run the guest, from all that was printed."""
    (line,) = [each for each in said.splitlines() if each.startswith("{")]
    return json.loads(line)["result"]


@contextmanager
def quiet_storm(gdb_path: str, cpus: int, rounds: int = 1, **options: Any) -> Iterator[Live]:
    """The guest with all its CPUs, before its first round: it is never scanned, and stops where it ends."""
    with storm(gdb_path, cpus, rounds, **options) as live:
        live.say("set var *(unsigned long *)&scanning = 0")
        live.say("hbreak *interrupts_init if $x0 == 0")
        live.say("continue")
        live.say("delete")
        live.say("hbreak clear_left")
        yield live


@contextmanager
def with_hardware(gdb_path: str, folder: Path, rounds: int = 1) -> Iterator[Live]:
    """The same on a CPU that sets access flags, and is asked to: TCR_EL1.HA."""
    with attached(gdb_path, guest=with_hardware_flags(folder), cpu="max") as live:
        live.say("hbreak cpu_main")
        live.say("continue")
        live.say("delete")
        live.say("hbreak clear_left")
        live.say(f"set var *(unsigned long *)&rounds = {rounds}")
        live.say("set var *(unsigned long *)&scanning = 0")
        yield live


def untouched_state(live: Live) -> None:
    """Nothing of a working set is left behind: no clear flag, no breakpoint, nothing to undo."""
    assert live.ask("map --unaccessed")[0]["runs"] == []
    assert live.physical_mode() == "0"
    assert live.ask("status")[0]["abilities"]["written so far"] == "0 descriptors"


def goes_on(live: Live, gdb_path: str, cpus: int, rounds: int = 1) -> None:
    """The guest computes what it does when nobody looks."""
    live.say("delete")
    live.gdb.run("continue")
    assert found(finished(live), "checksum") == checksum(gdb_path, cpus, rounds)


def test_of_a_round_it_shows_exactly_what_is_touched_and_by_which_access(gdb_path: str) -> None:
    with quiet_storm(gdb_path, 1) as live:
        (answer,) = live.ask(f"working-set {RANGE} --interval {FOREVER}")
        assert (answer["method"], answer["by_hardware"], answer["invalidation"]) == ("faults", False, None)
        assert answer["ended"].startswith("breakpoint ")
        (sample,) = answer["samples"]
        by = touched(sample)
        assert set(by) == pages(1)
        assert sample["resident"] == LEAVES * PAGE
        assert sample["touched"] == answer["touched"] == len(by) * PAGE
        # What main.c does first to each page of its own: every other one is written before it is read.
        for number in range(OWN):
            assert by[ARENA + number * PAGE]["access"] == ("read" if number % 2 else "write")
        assert {(each["el"], each["cpu"]) for each in by.values()} == {(1, 0)}
        assert by[ARENA + (4 * OWN + SHARED) * PAGE]["symbol"].startswith("interrupt + ")
        assert answer["restored"] == LEAVES - len(by)
        untouched_state(live)
        goes_on(live, gdb_path, 1)


def test_on_4_cpus_each_page_is_the_cpus_that_touched_it(gdb_path: str) -> None:
    with quiet_storm(gdb_path, 4) as live:
        (answer,) = live.ask(f"working-set {RANGE} --interval {FOREVER}")
        by = touched(answer["samples"][0])
        assert set(by) == pages(4)
        for number in range(4 * OWN):
            assert by[ARENA + number * PAGE]["cpu"] == number // OWN
        assert {by[ARENA + (4 * OWN + number) * PAGE]["cpu"] for number in range(SHARED)} <= {0, 1, 2, 3}
        untouched_state(live)
        goes_on(live, gdb_path, 4)


def test_where_hardware_sets_the_flags_they_are_read_and_say_the_same(gdb_path: str, tmp_path: Path) -> None:
    with with_hardware(gdb_path, tmp_path) as live:
        (answer,) = live.ask(f"working-set {RANGE} --interval {FOREVER}")
        assert (answer["method"], answer["by_hardware"], answer["spared"]) == ("flags", True, {})
        assert answer["controls"] == {"TCR_EL1.HA": f"{1:#018x}", "ID_AA64MMFR1_EL1.HAFDBS": f"{2:#018x}"}
        by = touched(answer["samples"][0])
        assert set(by) == pages(1)
        assert set(by.values()) == {None}
        untouched_state(live)
        assert "nobody faults" in live.refusal(f"mmu working-set {RANGE} --by faults")
        goes_on(live, gdb_path, 1)


def test_a_service_says_first_that_hardware_sets_the_flags(gdb_path: str, tmp_path: Path) -> None:
    with with_hardware(gdb_path, tmp_path) as live:
        said = live.say("mmu service")
        assert said.startswith("mmu: hardware sets access flags here (TCR_EL1.HA=1, ID_AA64MMFR1_EL1.HAFDBS=0b0010)")
        assert "0 access-flag faults repaired" in said


def test_each_sample_begins_with_clear_flags_and_an_empty_tlb(gdb_path: str, tmp_path: Path) -> None:
    with with_hardware(gdb_path, tmp_path, 1 << 40) as live:
        # However slow this machine is, a round fits into one of these.
        for interval in (0.25, 1, 4, 16, 64):
            (answer,) = live.ask(f"working-set {RANGE} --interval {interval} --samples 3")
            assert [sample["seconds"] >= interval for sample in answer["samples"]] == [True] * 3
            began = [sample["began"] for sample in answer["samples"]]
            assert all(later >= sooner + interval for sooner, later in pairwise(began))
            assert all(set(touched(sample)) <= pages(1) for sample in answer["samples"])
            untouched_state(live)
            if all(set(touched(sample)) == pages(1) for sample in answer["samples"]):
                assert answer["ended"] is None
                return
        raise AssertionError("not a round of the guest's in a minute")


OTHERWISE = """python
import gdbtools.live.guest
from gdbtools.errors import Refused
def refuse(attachment):
    raise Refused("not from outside")
gdbtools.live.guest.empty_tlb = refuse
end"""
"""Has GDB take the stub for one that cannot empty its guest's TLB."""


@pytest.mark.parametrize(("at_el0", "outside"), [(True, True), (False, True), (False, False)])
def test_no_tlb_keeps_what_was_there_before(gdb_path: str, tmp_path: Path, at_el0: bool, outside: bool) -> None:
    with looping(gdb_path, cpus=2, at_el0=at_el0) as live:
        if not outside:
            script = tmp_path / "otherwise.gdb"
            script.write_text(OTHERWISE)
            live.say(f"source {script}")
        # Both CPUs have read every page already: what their TLBs kept would be missing.
        wanted = f"{PAGE_A:#x},{PAGE_D + PAGE:#x}"
        for interval in (0.25, 1, 4, 16):
            (answer,) = live.ask(f"working-set {wanted} --interval {interval} --samples 2")
            assert (answer["invalidation"] is None) == outside
            by = [touched(sample) for sample in answer["samples"]]
            if all(len(each) == 4 for each in by):
                break
        assert [set(each) for each in by] == [{PAGE_A + number * 0x10000 for number in range(4)}] * 2
        assert {(each["el"], each["access"]) for one in by for each in one.values()} == {(0 if at_el0 else 1, "read")}
        assert live.faults() == 0


def test_where_nobody_can_empty_the_tlb_nothing_is_written(gdb_path: str, tmp_path: Path) -> None:
    script = tmp_path / "otherwise.gdb"
    script.write_text(OTHERWISE)
    with looping(gdb_path, at_el0=True) as live:
        live.say(f"source {script}")
        said = live.refusal(f"mmu working-set {PAGE_A:#x}")
        assert said.startswith("not from outside; and the CPU is at EL0")
        assert live.entry(PAGE_A) & AF
    with looping(gdb_path) as live:
        live.say(f"source {script}")
        assert "is in the range itself" in live.refusal("mmu working-set 0x40200000,+0x10000")


def test_el0_and_el1_are_told_apart_and_what_is_executed(gdb_path: str) -> None:
    with attached(gdb_path) as live:
        live.say("set var *(long *)&rounds = 1")
        live.say("set var *(long *)&scanning = 0")
        live.say("hbreak cpu_main")
        live.say("continue")
        live.say("delete")
        live.say("hbreak sum_words")
        (answer,) = live.ask(f"working-set 0x10000000,0x1000000c000 --interval {FOREVER}")
        by = touched(answer["samples"][0])
        el0 = {at: by[at] for at in by if 0x10000000 <= at < 0x1000C000}
        assert len(el0) == 12
        assert {each["el"] for each in el0.values()} == {0}
        # regions.c: the fourteenth region, whose first leaf is read in the first round.
        assert [el0[0x10000000 + number * PAGE]["access"] for number in range(2)] == ["read", "execute"] * 1
        live.gdb.run("delete")
        live.gdb.run("continue")
        assert live.qemu.wait(60)


def test_a_guest_that_cannot_serve_its_own_faults_lives_if_it_is_served_everywhere(gdb_path: str) -> None:
    with attached(gdb_path) as live:
        live.to_scan()
        (answer,) = live.ask(f"working-set 0x100000000000,+{12 * PAGE:#x} --interval {FOREVER} --everywhere")
        assert set(touched(answer["samples"][0])) == {0x100000000000 + number * PAGE for number in range(12)}
        assert answer["ended"].startswith("the guest is gone")
        assert answer["restored"] is None
        assert CHECKSUMS[1] in live.qemu.output()


def test_without_that_a_fault_outside_the_range_is_the_guests_own(gdb_path: str) -> None:
    with attached(gdb_path) as live:
        live.to_scan()
        live.say("hbreak page_fault")
        (answer,) = live.ask(f"working-set 0x100000000000,+{12 * PAGE:#x} --interval {FOREVER}")
        assert answer["ended"].startswith("breakpoint ")
        # The first region that is touched is another.
        assert touched(answer["samples"][0]) == {}


def test_what_was_not_touched_may_be_left_clear_and_undo_sets_it(gdb_path: str) -> None:
    with quiet_storm(gdb_path, 1) as live:
        (answer,) = live.ask(f"working-set {RANGE} --interval {FOREVER} --leave")
        assert (answer["left"], answer["restored"]) == (True, 0)
        clear = sum(int(run["size"]) for run in live.ask("map --unaccessed")[0]["runs"])
        assert clear == (LEAVES - len(pages(1))) * PAGE
        (undone,) = live.ask("undo")
        assert len(undone["changes"]) == LEAVES - len(pages(1))
        untouched_state(live)
        goes_on(live, gdb_path, 1)


def test_ctrl_c_at_any_moment_shows_what_there_is_and_leaves_the_guest_as_it_was(gdb_path: str) -> None:
    with quiet_storm(gdb_path, 2) as live:
        for attempt, seconds in enumerate(moments([0.02 + number / 20 for number in range(9)], 60)):  # noqa: B007
            with ctrl_c(live.gdb.pid, seconds):
                reply = live.gdb.run(f"-mmu working-set {RANGE} --interval 0.2 --samples 1000")
            assert live.inside("bool(gdb.selected_inferior().threads())"), f"{reply.error}: {reply.text[-1000:]}"
            untouched_state(live)
            assert live.inside("remembered()") == live.inside("asked()")
            # Before it had begun, or when it was over and answered: GDB's own.
            assert reply.error in ("", "Quit")
            if "{" not in reply.text:
                assert reply.error
                continue
            answer = result(reply.text)
            assert all(set(touched(sample)) <= pages(2) for sample in answer["samples"])
            if answer["ended"] != "interrupted":
                break
        assert attempt > 1
        assert answer["ended"].startswith("breakpoint ")
        goes_on(live, gdb_path, 2)


def test_what_it_says_at_a_prompt_begins_with_the_answer_and_fits(gdb_path: str) -> None:
    with quiet_storm(gdb_path, 1) as live:
        live.say("set style enabled off")
        said = live.say(f"mmu working-set {RANGE} --interval {FOREVER}")
        lines = [line for line in said.splitlines() if line]
        (head,) = [at for at, line in enumerate(lines) if line.startswith("Working set: 5MB of 17MB resident (29.4%)")]
        picture = lines[head + 1]
        assert picture.startswith(f"{ARENA:#018x}  ███")
        assert "··████" not in picture
        assert "···" in picture
        assert max(map(len, lines[head:])) <= 80
        assert "0x8000000000  4MB" in " ".join(lines[head + 4].split()).replace(" ", "  ", 1)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("0x8000000000 --interval 0", "'0' is no length of time; give seconds up to a day, like 2 or 0.5"),
        ("0x8000000000 --interval soon", "'soon' is no length of time"),
        ("0x8000000000 --interval nan", "'nan' is no length of time"),
        ("0x8000000000 --samples 0", "--samples takes a number of samples from 1 on"),
        ("0x7000000000,+0x1000", "nothing is mapped from 0x7000000000 on; `mmu map` lists what is"),
        ("0x8000000000 --by magic", "--by is faults or flags"),
    ],
)
def test_words_that_make_no_sense_are_refused_before_anything_is_written(
    shared_storm: Live, words: str, why: str
) -> None:
    pc = shared_storm.value("$pc")
    assert why in shared_storm.refusal(f"mmu working-set {words}")
    assert shared_storm.value("$pc") == pc
    untouched_state(shared_storm)


@pytest.fixture(scope="module")
def shared_storm(qemu: str, gdb_path: str) -> Iterator[Live]:
    with quiet_storm(gdb_path, 1) as live:
        yield live


def test_the_pages_that_serving_needs_are_left_out_and_named(shared_storm: Live) -> None:
    live = shared_storm
    live.say("hbreak interrupt")
    # One block of 1 GiB maps all of this guest's code and stacks.
    (answer,) = live.ask(f"working-set 0x40000000,{ARENA + PAGE:#x} --interval {FOREVER}")
    live.say("delete $bpnum")
    assert list(answer["spared"]) == [f"{0x40000000:#018x}"]
    assert answer["samples"][0]["resident"] == PAGE
    untouched_state(live)
    assert "no fault could be taken" in live.refusal("mmu working-set 0x40000000")
