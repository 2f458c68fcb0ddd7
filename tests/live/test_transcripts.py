"""What docs/ show of the demo's guest, typed again: tests/transcripts.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.recording import Recording
from tests.live.session import GUEST, Live, attached
from tests.transcripts import compare, marked, tidy, timeless

pytestmark = pytest.mark.guest


def test_the_demo_is_what_the_page_on_repair_shows(at_scan: Live) -> None:
    *asked, service = marked("demo")
    for transcript in asked:
        compare(at_scan.say(transcript.command), transcript, timeless)
    at_scan.say("delete")
    said = at_scan.say(service.command)
    assert at_scan.qemu.wait(60)
    # The demo prints what the guest itself has said after it.
    compare(f"{tidy(said)}\n\nThe guest:\n{at_scan.qemu.output()}", service, timeless)


def test_hardware_is_asked_as_the_page_on_repair_shows(qemu: str, gdb_path: str) -> None:
    with attached(gdb_path, 2, cpu="max") as live:
        live.to_scan()
        for transcript in marked("hardware-af"):
            compare(live.say(transcript.command), transcript)


def test_a_watched_descriptor_is_told_as_the_page_on_changes_shows(at_scan: Live) -> None:
    for transcript in marked("watch"):
        compare(at_scan.say(transcript.command), transcript)


def test_who_changed_it_is_what_the_page_on_changes_shows(qemu: str, gdb_path: str, tmp_path: Path) -> None:
    *recorded, who = marked("who")
    recording = Recording(GUEST, tmp_path)
    for mode, transcript in zip(("record", "replay"), recorded[1:], strict=True):
        for option in recording.options(mode):
            assert option.replace(f"{tmp_path}/", "") in transcript.words
    with recording.make().replayed(gdb_path) as live:
        live.say("hbreak page_fault")
        live.say("continue")
        compare(live.say(who.command), who, timeless)
