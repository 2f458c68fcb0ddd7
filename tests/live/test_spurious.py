"""Faults that the tables permit by the time somebody looks: the planted reason is named first, and loops are loops."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from tests.live.denials import ACCESS_FLAG, PERMISSION, TRANSLATION_3
from tests.live.verdicts import PAGE, Planted, planted, symbol
from tests.places import ROOT
from tests.transcripts import compare, marked

pytestmark = pytest.mark.guest

TWO: Mapping[str, Any] = {"cpus": 2}
LARGE_PAGES: Mapping[str, Any] = {"cpu": "max", "granule_bits": 14}


def permitted(live: Planted, access: str, fault: str, likeliest: str) -> Any:
    """Return the suspicions of a fault that the tables permit, the first of which is in the sentence."""
    sentence, answer = live.verdict()
    assert sentence == f"{access} of {PAGE:#x}: {fault}, but the tables permit it now: {likeliest}."
    assert answer["verdict"] == "tables permit"
    return answer["suspicions"]


def test_a_fault_that_was_repaired_for_another_cpu_is_told_by_that_cpu_and_the_repair(gdb: Gdb) -> None:
    with planted(gdb, "both_not_accessed", **TWO) as live:
        live.say("mmu catch access-flag")
        live.say("continue")
        assert live.selected() == 0
        assert live.verdict()[1]["verdict"] == "tables agree"
        leaf = live.descriptor_address(PAGE, 3)
        clear = live.descriptor(leaf)
        live.say("mmu fixup --resume")
        assert live.selected() == 1
        first = permitted(live, "EL1 read", ACCESS_FLAG, "probably repaired for CPU 0 by `mmu fixup`")[0]
        assert (first["cause"], first["weight"], first["cpus"]) == ("repaired", "likely", [0])
        changed = first["changed"]
        assert (int(changed["descriptor_address"], 16), int(changed["was"], 16)) == (leaf, clear)
        assert (changed["by"], changed["seen_by_cpu"], changed["at_this_stop"]) == ("fixup", 0, False)
        # And the test that it names: go on, and it faults no more.
        live.say("delete")
        live.say(f"hbreak *{live.calls_finished():#x} thread 2")
        (summary,) = live.ask("service")
        assert (summary["already_repaired"], summary["faults"]) == (1, 0)
        assert summary["ended"].startswith("breakpoint ")
        assert live.counted() == 0


def test_a_fault_that_another_cpus_handler_repaired_is_told_from_a_stale_entry(gdb: Gdb) -> None:
    with planted(gdb, "both_read_only", **TWO) as live:
        live.say("mmu catch permission")
        live.say("continue")
        assert (live.selected(), live.verdict()[1]["verdict"]) == (0, "tables agree")
        live.say("continue")
        assert live.selected() == 1
        suspected = permitted(live, "EL1 write", PERMISSION, "probably repaired by CPU 0")
        assert [each["cause"] for each in suspected[:2]] == ["repaired", "stale leaf"]
        assert suspected[0]["cpus"] == [0]
        assert (suspected[0]["changed"]["seen_by_cpu"], suspected[0]["changed"]["by"]) == (0, None)


def test_without_having_looked_before_the_other_cpus_last_exception_is_evidence_enough(gdb: Gdb) -> None:
    with planted(gdb, "both_read_only", **TWO) as live:
        live.say(f"hbreak *{symbol('vectors') + 0x200} thread 2")
        live.say("continue")
        first = permitted(live, "EL1 write", PERMISSION, "probably repaired by CPU 0")[0]
        assert (first["cause"], first["cpus"], first["changed"]) == ("repaired", [0], None)


@pytest.mark.parametrize(
    ("scenario", "needs", "access", "fault", "likeliest", "cause"),
    [
        ("granted_without_tlbi", {}, "EL1 write", PERMISSION, "perhaps a stale TLB entry", "stale leaf"),
        ("granted_with_wrong_tlbi", LARGE_PAGES, "EL1 write", PERMISSION, "probably a stale TLB entry", "stale leaf"),
        ("made_without_barrier", {}, "EL1 read", TRANSLATION_3, "probably a missing DSB", "missing barrier"),
        ("rebuilt_as_block", {}, "EL1 read", TRANSLATION_3, "probably a stale table in the TLB", "stale table"),
    ],
)
def test_what_only_the_hardware_remembers_is_named_first(
    gdb: Gdb, scenario: str, needs: Mapping[str, Any], access: str, fault: str, likeliest: str, cause: str
) -> None:
    with planted(gdb, scenario, **needs) as live:
        live.to_fault()
        suspected = permitted(live, access, fault, likeliest)
        assert suspected[0]["cause"] == cause
        # There is one CPU, and it is at its vector: nobody can have repaired anything.
        assert suspected[-1]["weight"] == "unlikely"
        assert ("repaired", "unlikely") in [(each["cause"], each["weight"]) for each in suspected]


def test_the_wrong_operand_is_named_with_the_tlbi_that_has_it(gdb: Gdb) -> None:
    with planted(gdb, "granted_with_wrong_tlbi", **LARGE_PAGES) as live:
        live.to_fault()
        written = live.ask("fault")[0]["suspicions"][0]["written"]
        store = symbol("change_and_store")
        assert int(written["store"], 16) == store
        assert int(written["descriptor_address"], 16) == live.descriptor_address(PAGE, 3)
        assert (written["waited"], written["synchronized"]) == (True, True)
        (tlbi,) = written["invalidations"]
        # The number of the page, PAGE >> 14, is taken for VA[55:12].
        assert (int(tlbi["names"], 16), tlbi["reaches"]) == (PAGE >> 14 << 12, False)
        assert live.value("$x3") == PAGE >> 14
        shown = live.say(f"x/i {tlbi['address']}").partition(":\t")[2]
        assert re.sub(r"\s+", " ", shown).strip() == tlbi["instruction"].lower()
        said = " ".join(live.say("mmu fault").split())
        assert (
            f"a TLB kept an older leaf: the STR at {store:#x} wrote the level 3 descriptor, and then "
            f"TLBI VAAE1IS, X3 at {store + 8:#x} named 0x14000000. "
            f"Go on, and it faults again, until `mmu tlbi {PAGE:#x}`"
        ) in said


def test_the_invalidation_that_is_asked_for_can_be_had_at_that_stop(gdb: Gdb) -> None:
    with planted(gdb, "granted_with_wrong_tlbi", **LARGE_PAGES) as live:
        live.to_fault()
        (answer,) = live.ask(f"tlbi {PAGE:#x}")
        assert answer["applied"]
        assert live.register("ESR_EL1") == 0x9600004F, "and the exception is still there to be explained"


def test_the_transcript_of_the_docs_is_what_is_printed(gdb: Gdb) -> None:
    with planted(gdb, "granted_with_wrong_tlbi", **LARGE_PAGES) as live:
        live.to_fault()
        (transcript,) = marked("stale")
        compare(live.say(transcript.command), transcript)


@pytest.mark.parametrize(
    ("scenario", "needs"),
    [("granted_with_wrong_tlbi", LARGE_PAGES), ("made_without_barrier", {}), ("unprivileged_load", {})],
)
def test_a_capture_is_explained_as_the_guest_was(
    gdb: Gdb, scenario: str, needs: Mapping[str, Any], tmp_path: Path
) -> None:
    """The code before the access, and the access itself, are in it."""
    with planted(gdb, scenario, **needs) as live:
        live.to_fault()
        sentence, answer = live.verdict()
        live.say(f"mmu capture {tmp_path / 'core'}")
    command = [sys.executable, "-m", "gdbtools.cli", "fault", "-s", str(tmp_path / "core"), "--json"]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout)
    assert (said["result"]["sentence"], said["result"]["suspicions"]) == (sentence, answer["suspicions"])


def test_with_small_pages_the_same_operand_is_right_and_nothing_is_made_of_it(gdb: Gdb) -> None:
    with planted(gdb, "granted_with_wrong_tlbi") as live:
        live.to_fault()
        suspected = permitted(live, "EL1 write", PERMISSION, "perhaps a stale table in the TLB")
        assert [each["cause"] for each in suspected if each["weight"] == "unlikely"] == [
            "stale leaf", "repaired", "missing barrier",
        ]  # fmt: skip


def test_the_store_without_a_barrier_is_named(gdb: Gdb) -> None:
    with planted(gdb, "made_without_barrier") as live:
        live.to_fault()
        written = live.ask("fault")[0]["suspicions"][0]["written"]
        assert int(written["store"], 16) == symbol("write_and_load")
        assert (written["waited"], written["synchronized"], written["invalidations"]) == (False, False, [])


def test_levels_that_disagree_are_shown(gdb: Gdb) -> None:
    with planted(gdb, "rebuilt_as_block") as live:
        live.to_fault()
        assert live.ask("fault")[0]["suspicions"][0]["levels"] == [3, 2]
        assert "the fault is of level 3, and level 2 maps it now" in " ".join(live.say("mmu fault").split())


def test_present_is_not_permitted_and_such_a_fault_is_not_called_spurious(gdb: Gdb) -> None:
    with planted(gdb, "made_read_only_since") as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert sentence == (
            f"EL1 write of {PAGE:#x}: translation fault, level 3, but the tables say permission fault, level 3: "
            "nobody may write."
        )
        assert (answer["verdict"], answer["suspicions"]) == ("tables differ", [])


def test_a_fault_that_is_long_over_is_said_to_be_so(gdb: Gdb) -> None:
    with planted(gdb, "both_read_only", **TWO) as live:
        live.say(f"hbreak *{live.calls_finished():#x} thread 1")
        live.say("continue")
        suspected = permitted(live, "last exception: EL1 write", PERMISSION, "perhaps an older exception")
        assert suspected[0]["cause"] == "other exception"


# --- What QEMU's TLB does, and what it never does: fixtures/guests/README.md.


@pytest.mark.parametrize(
    ("scenario", "needs"),
    [
        ("granted_without_tlbi", {}),
        ("granted_with_wrong_tlbi", LARGE_PAGES),
        ("made_without_barrier", {}),
        ("rebuilt_as_block", {}),
    ],
)
def test_qemu_lets_through_what_hardware_may_still_refuse(gdb: Gdb, scenario: str, needs: Mapping[str, Any]) -> None:
    """It keeps no refusal, no table and no older permission to refuse by: these faults are taken once more by hand."""
    with planted(gdb, scenario, **needs) as live:
        assert live.word("let_through") == 0
        live.to_fault()
        assert live.word("let_through") == 1
        assert live.counted() == 1, "the first, which was for good"


@pytest.mark.parametrize(
    ("scenario", "needs"), [("revoked_without_tlbi", {}), ("revoked_with_wrong_tlbi", LARGE_PAGES)]
)
def test_qemu_goes_on_letting_through_what_the_tables_no_longer_permit(
    gdb: Gdb, scenario: str, needs: Mapping[str, Any]
) -> None:
    """There is no fault to explain then: a probe proves it, and a TLBI of the right address ends it."""
    with planted(gdb, scenario, **needs) as live:
        assert not live.descriptor(live.descriptor_address(PAGE, 3)) & 1
        assert live.counted() == 0
        (answer,) = live.ask(f"probe {PAGE:#x} --tlbi --overwrite")
        assert (answer["verdict"], answer["proved"]) == ("stale", True)
        assert answer["first"][0]["done"]
        assert (answer["again"][0]["fault"]["kind"], answer["again"][0]["fault"]["level"]) == ("translation", 3)


@pytest.mark.parametrize(("other", "verdict"), [(0x4100_0000, "agrees"), (PAGE >> 14 << 12, "stale")])
def test_to_qemu_large_pages_are_one_range_from_the_first_to_the_last(gdb: Gdb, other: int, verdict: str) -> None:
    """A TLBI of any address between the image and the page empties all: the page is planted so that none does."""
    with planted(gdb, "revoked_without_tlbi", **LARGE_PAGES) as live:
        assert live.ask(f"tlbi {other:#x}")[0]["applied"]
        assert live.ask(f"probe {PAGE:#x} --overwrite")[0]["verdict"] == verdict


def test_with_small_pages_the_operand_is_right_and_the_revoked_page_faults(gdb: Gdb) -> None:
    with planted(gdb, "revoked_with_wrong_tlbi") as live:
        assert live.counted() == 1
        (answer,) = live.ask(f"probe {PAGE:#x} --overwrite")
        assert answer["verdict"] == "agrees"


# --- Handlers that loop.


@pytest.mark.parametrize(
    ("scenario", "kind"), [("handler_does_nothing", "translation"), ("handler_takes_it_for_spurious", "permission")]
)
def test_a_handler_that_loops_is_named_by_catch_and_by_service(gdb: Gdb, scenario: str, kind: str) -> None:
    with planted(gdb, scenario) as live:
        live.say(f"mmu catch {kind}")
        assert "fault loop" not in live.say("continue")
        leaf = live.descriptor_address(PAGE, 3)
        loop = (
            f"a fault loop: pc {live.register('ELR_EL1'):#x} faults on {PAGE:#x} again with syndrome "
            f"{live.register('ESR_EL1'):#x}, and its descriptor at PA {leaf:#x} is still {live.descriptor(leaf):#018x}"
        )
        # Twice may be one: QEMU says now and then that it has stepped past the vector, and has not.
        assert "fault loop" not in live.say("continue")
        assert f"mmu: {loop}\n" in live.say("continue")
        # Left to itself the guest does nothing else.
        live.say("delete")
        counted = live.counted()
        (summary,) = live.ask("service")
        assert (summary["ended"], summary["faults"], summary["already_repaired"]) == (loop, 0, 0)
        assert live.counted() > counted + 50
