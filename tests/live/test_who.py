"""`mmu who`: backwards over a real recording, to the instruction that changed a descriptor, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.ctrl_c import ctrl_c
from tests.live.recording import Recording, with_hardware_flags
from tests.live.session import GUEST, Live, attached, symbol
from tests.live.tlb import PAGE_A, TLB_GUEST
from tests.live.tlb import symbol as tlb_symbol

pytestmark = pytest.mark.guest

PAGE = 0x600000000000
"""What the guest dies of: regions.c."""
UNMAPPED = 0x12345000
ARENA = 1 << 39
AF = 1 << 10


@pytest.fixture(scope="module")
def recording(qemu: str, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The guest that dies of its first access-flag fault."""
    return Recording(GUEST, tmp_path_factory.mktemp("access-flag")).make()


@pytest.fixture
def dead(recording: Recording, gdb_path: str) -> Iterator[Live]:
    """It, at the fault."""
    with recording.replayed(gdb_path) as live:
        live.say("hbreak page_fault")
        live.say("continue")
        yield live


def pa_of(answer: Any) -> int:
    return int(answer["descriptor_address"], 16)


def function(frame: str) -> str:
    return frame.split()[1]


def position(live: Live) -> int:
    return int(live.inside("__import__('gdbtools.live.console').live.console.monitor('info replay')").split("= ")[1])


def test_the_scanner_that_cleared_the_flag_is_named_and_the_guest_stands_before_its_store(dead: Live) -> None:
    (answer,) = dead.ask(f"who {PAGE:#x}")
    pa, before, after = pa_of(answer), int(answer["before"], 16), int(answer["after"], 16)
    assert (answer["fields"], before ^ after, before & AF) == (["AF"], AF, AF)
    assert (answer["changed"], answer["by_watched_store"], answer["by_hardware"]) == (True, True, False)
    assert [function(each) for each in answer["frames"]][:2] == ["clear_access_flags", "cpu_main"]
    # The very instruction: nothing has happened yet, and then it has.
    assert dead.value("$pc") == int(answer["frames"][0].split()[0], 16)
    assert dead.say("x/i $pc").split("\t")[1] == "str"
    assert position(dead) == answer["position"] < answer["asked_at"]
    assert dead.descriptor(pa) == before
    dead.say("stepi")
    assert dead.descriptor(pa) == after
    assert dead.physical_mode() == "0"


def test_asked_again_it_is_who_made_it_and_before_that_nobody(dead: Live) -> None:
    (first,) = dead.ask(f"who {PAGE:#x}")
    (second,) = dead.ask(f"who {PAGE:#x}")
    assert second["asked_at"] == first["position"] > second["position"]
    assert (second["after"], int(second["before"], 16)) == (first["before"], 0)
    assert function(second["frames"][0]) == "build_tables"
    # There the MMU is off.
    assert "has no descriptor to watch" in dead.refusal(f"mmu who {PAGE:#x}")


def test_a_table_on_the_way_has_a_writer_too(dead: Live) -> None:
    (answer,) = dead.ask(f"who {PAGE:#x} --level 1")
    assert (answer["level"], int(answer["before"], 16)) == (1, 0)
    assert {"descriptor", "build_tables"} <= {function(each) for each in answer["frames"]}


def test_what_nobody_has_changed_since_the_beginning_is_said_and_the_guest_stays_where_it_was(dead: Live) -> None:
    before, at = dead.state(), position(dead)
    (answer,) = dead.ask(f"who {UNMAPPED:#x}")
    # start.S has zeroed what was zero.
    assert (answer["changed"], answer["asked_at"], answer["frames"]) == (False, at, [])
    assert (dead.state(), position(dead)) == (before, at)


def test_one_goes_back_to_where_one_asked_and_on_from_where_one_is(dead: Live) -> None:
    before = dead.state()
    (answer,) = dead.ask(f"who {PAGE:#x}")
    assert dead.state() != before
    (moved,) = dead.ask(f"who --to {answer['asked_at']}")
    assert moved["position"] == answer["asked_at"]
    assert function(moved["frames"][0]) == "page_fault"
    assert dead.state() == before
    dead.ask(f"who {PAGE:#x}")
    assert "in page_fault" in dead.say("continue")
    assert dead.state() == before


def test_breakpoints_and_watchpoints_of_the_users_are_not_in_its_way(dead: Live) -> None:
    dead.say("hbreak touch_regions")
    dead.say("hbreak *cpu_main")
    dead.say(f"mmu watch {PAGE:#x}")
    (answer,) = dead.ask(f"who {PAGE:#x}")
    assert function(answer["frames"][0]) == "clear_access_flags"
    assert "AF 1 -> 0" in dead.say("continue")
    assert "touch_regions" in dead.say("continue")


def test_what_was_written_just_now_is_found_too(recording: Recording, gdb_path: str) -> None:
    with recording.replayed(gdb_path) as live:
        live.say("hbreak clear_access_flags")
        live.say("continue")
        live.say("delete")
        (watched,) = live.ask(f"watch {PAGE:#x}")
        while live.descriptor(pa_of(watched)) & AF:
            live.say("continue")
        (answer,) = live.ask(f"who {PAGE:#x}")
        assert answer["by_watched_store"]
        assert function(answer["frames"][0]) == "clear_access_flags"


def test_in_mi_it_says_the_same(recording: Recording, gdb_path: str) -> None:
    found = []
    for mi in (False, True):
        with recording.replayed(gdb_path) as live:
            live.say("hbreak page_fault")
            live.say("continue")
            answer = live.ask_mi(f"who {PAGE:#x}") if mi else live.ask(f"who {PAGE:#x}")
            found.append((answer, live.state()))
    assert found[0] == found[1]


def test_what_hardware_has_set_is_found_to_the_access_that_made_it_walk(gdb_path: str, tmp_path: Path) -> None:
    recording = Recording(with_hardware_flags(tmp_path), tmp_path, "max").make()
    with recording.replayed(gdb_path) as live:
        live.say("hbreak clear_left")
        live.say("continue")
        va = ARENA + 5 * 4096
        (answer,) = live.ask(f"who {va:#x}")
        assert (answer["fields"], answer["by_watched_store"], answer["by_hardware"]) == (["AF"], False, True)
        assert function(answer["frames"][0]) == "cpu_main"
        # main.c reads the word of an odd leaf first.
        said = live.say("x/i $pc")
        assert "\tldr\t" in said
        register = said[said.rindex("[") + 1 : said.rindex("]")]
        assert live.value(f"${register}") >> 12 == va >> 12
        pa = pa_of(answer)
        assert not live.descriptor(pa) & AF
        live.say("stepi")
        assert live.descriptor(pa) & AF
        # And the flag was cleared by the guest's own scanner.
        live.ask(f"who {va:#x}")
        (answer,) = live.ask(f"who {va:#x}")
        assert (answer["by_watched_store"], answer["by_hardware"]) == (True, False)
        assert function(answer["frames"][0]) == "clear_access_flags"


def interrupted_who(live: Live, seconds: float) -> Any:
    """Return what it says when Ctrl-C comes so long after it has begun."""
    with ctrl_c(live.gdb.pid, seconds, begun=True):
        (answer,) = live.ask(f"who {PAGE_A:#x}")
    return answer


def test_ctrl_c_at_any_moment_returns_to_where_it_began(gdb_path: str, tmp_path: Path) -> None:
    with Recording(TLB_GUEST, tmp_path).make(2).replayed(gdb_path) as live:
        with ctrl_c(live.gdb.pid, 1.5, again=5):
            live.say("continue")
        before, at = live.state(), position(live)
        for attempt in range(6):
            answer = interrupted_who(live, 0.1 + attempt / 4)
            if not answer["interrupted"]:
                assert {"map", "build_tables", "descriptor"} & {function(each) for each in answer["frames"]}
                live.ask(f"who --to {at}")
            assert (live.state(), position(live)) == (before, at)
        assert interrupted_who(live, 0.1)["interrupted"]
        assert (live.state(), position(live)) == (before, at)
        # What stops a guest stops it still; from halfway on, for the recording may end soon behind where it stands.
        live.ask(f"who --to {at // 2}")
        live.say(f"hbreak *{tlb_symbol('looped'):#x}")
        assert "in looped" in live.say("continue")


def test_a_guest_that_is_not_replayed_is_told_how_to_be(gdb_path: str) -> None:
    with attached(gdb_path) as live:
        live.to_scan()
        before = live.state()
        said = live.refusal(f"mmu who {PAGE:#x}")
        assert said.startswith("this guest is not replayed, so it cannot run backwards; record it: ")
        assert "rr=record,rrfile=" in said
        assert "rrsnapshot=" in said
        assert "-drive " in said
        assert "rr=replay" in said
        assert live.state() == before


def test_one_that_is_being_recorded_too(gdb_path: str, tmp_path: Path, recording: Recording) -> None:
    other = Recording(GUEST, tmp_path, snapshots=False)
    with other.replayed(gdb_path, "record") as live:
        live.to_scan()
        assert "this guest is being recorded: end QEMU" in live.refusal(f"mmu who {PAGE:#x}")


def test_and_one_whose_recording_has_no_snapshot(gdb_path: str, tmp_path: Path) -> None:
    with Recording(GUEST, tmp_path, snapshots=False).make().replayed(gdb_path) as live:
        live.say("hbreak page_fault")
        live.say("continue")
        before = live.state()
        assert "the recording has no snapshot; record it with rrsnapshot=start" in live.refusal(f"mmu who {PAGE:#x}")
        assert live.state() == before


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "say which address, or --to which instruction of the recording"),
        (f"{PAGE:#x} --to 5", "say which address, or --to which instruction of the recording"),
        (f"{PAGE:#x} --level -1", "has no level -1 descriptor; it has: 0, 1, 2, 3"),
        (f"{PAGE:#x} --level 7", "has no level 7 descriptor; it has: 0, 1, 2, 3"),
    ],
)
def test_words_that_make_no_sense_are_refused(dead: Live, words: str, why: str) -> None:
    before = dead.state()
    assert why in dead.refusal(f"mmu who {words}")
    assert dead.state() == before


def test_at_the_prompt_the_answer_comes_first_and_the_way_back_last(dead: Live) -> None:
    at = position(dead)
    lines = [line for line in dead.say(f"mmu who {PAGE:#x}").splitlines() if line]
    assert lines[0].startswith("AF 1 -> 0 in the level 3 descriptor at PA 0x40211000, by CPU 0, ")
    assert any(line.startswith("writer  0x") and line.endswith("clear_access_flags") for line in lines)
    assert lines[-1] == f"back    mmu who --to {at}"
    assert max(map(len, lines)) <= 80
    assert dead.value("$pc") >= symbol("clear_access_flags")
