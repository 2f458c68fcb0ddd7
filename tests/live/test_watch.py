"""`mmu watch`: who changes a mapping, with the change decoded and the writer named."""

from __future__ import annotations

import re

import pytest

from tests.live.session import Leaf, Live

pytestmark = pytest.mark.guest

PAGE = Leaf(4, 1 << 44, 3)
AF = 1 << 10


def test_the_scanner_that_clears_the_access_flag_is_caught_by_name(at_scan: Live) -> None:
    (watched,) = at_scan.ask(f"watch {PAGE.va:#x}")
    pa = int(watched["descriptor_address"], 16)
    before = at_scan.descriptor(pa)
    assert before & AF
    said = at_scan.say("continue")
    assert f"AF 1 -> 0 in the level 3 descriptor at PA {pa:#x}, by CPU 0." in said
    assert re.search(r"writer +0x[0-9a-f]+ +clear_access_flags", said), said
    assert at_scan.descriptor(pa) == before & ~AF
    assert at_scan.physical_mode() == "0"


def test_a_caller_that_is_nowhere_in_memory_is_not_among_the_writers(at_scan: Live) -> None:
    at_scan.ask(f"watch {PAGE.va:#x}")
    at_scan.say("set var *(unsigned long *)(*(unsigned long *)$x29 + 8) = 0xffffff0000000000")
    writers = at_scan.say("continue").partition("writer")[2].partition("\n\n")[0].splitlines()
    assert [each.split()[1:] for each in writers] == [["clear_access_flags"], ["cpu_main"]]


def test_going_on_tells_the_change_and_does_not_stop_at_it(at_scan: Live) -> None:
    at_scan.say(f"mmu watch {PAGE.va:#x} --go-on")
    at_scan.say("hbreak page_fault")
    said = at_scan.say("continue")
    assert re.findall(r"AF (\d) -> (\d) in the level 3", said) == [("1", "0")]
    assert "in page_fault" in said


def test_what_the_guest_takes_back_of_a_repair_is_its_change_again(at_reset: Live) -> None:
    live = at_reset
    live.say("set var *(long *)&rounds = 3")
    live.to_scan()
    live.say(f"mmu watch {PAGE.va:#x} --go-on")
    said = live.say("mmu service")
    assert re.findall(r"AF (\d) -> (\d) in the level 3", said) == [("1", "0")] * 3, said
    assert len(re.findall(r"writer +0x[0-9a-f]+ +clear_access_flags", said)) == 3


def test_so_it_is_when_one_fault_is_repaired_at_a_time(at_reset: Live) -> None:
    live = at_reset
    live.say("set var *(long *)&rounds = 3")
    live.to_scan()
    live.say(f"mmu watch {PAGE.va:#x}")
    live.say("mmu catch access-flag")
    said = [live.say("continue")]
    while sum("AF 1 -> 0" in each for each in said) < 3:
        said.append(live.say("continue" if "AF 1 -> 0" in said[-1] else "mmu fixup --resume"))


def test_a_table_on_the_way_can_be_watched_and_a_level_that_is_not_there_cannot(at_scan: Live) -> None:
    (watched,) = at_scan.ask(f"watch {PAGE.va:#x} --level 2")
    assert watched["level"] == 2
    assert len(watched["watchpoints"]) >= 1
    assert "no level -1 descriptor; it has: 0, 1, 2, 3" in at_scan.refusal(f"mmu watch {PAGE.va:#x} --level=-1")
    assert "no descriptor to watch" in at_scan.refusal("mmu watch 0x00ff000000000000")


def test_deleting_the_watchpoint_ends_it(at_scan: Live) -> None:
    (watched,) = at_scan.ask(f"watch {PAGE.va:#x}")
    for each in watched["watchpoints"]:
        at_scan.say(f"delete {each['number']}")
    at_scan.say("hbreak page_fault")
    assert "AF 1 -> 0" not in at_scan.say("continue")


def test_to_watch_changes_nothing(at_scan: Live) -> None:
    before = at_scan.state()
    at_scan.ask(f"watch {PAGE.va:#x}")
    assert at_scan.state() == before
