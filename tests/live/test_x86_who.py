"""`mmu who` on x86-64: backwards over a recording without the device for which QEMU would hang, and refused with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.live.recording import Recording
from tests.live.session import Live
from tests.live.test_who import function, position
from tests.live.test_x86 import GUEST, HOOKED

pytestmark = pytest.mark.guest

EMULATOR = ARCHITECTURES["x86_64"].identity.emulator
SYSTEM, NEWER = "system", "trixie"
P, W, A, D, NX = 1, 1 << 1, 1 << 5, 1 << 6, 1 << 63
HANDLER = "hbreak *(long)&handle"


def recorded(folder: Path, qemu: str, others: Sequence[str]) -> Recording:
    """Return the life of the guest that panics for a page that is there."""
    try:
        program = packages.qemu(qemu, EMULATOR.program).command
    except Unavailable as missing:
        pytest.skip(f"no QEMU for it: {missing}")
    machine = {"machine": EMULATOR.machine, "cpu": EMULATOR.cpu}
    return Recording(GUEST, folder, **machine, program=program, others=others).make()


@pytest.fixture
def panicked(request: pytest.FixtureRequest, tmp_path: Path, gdb_path: str) -> Iterator[Live]:
    made = recorded(tmp_path, getattr(request, "param", SYSTEM), EMULATOR.recorded_with.split())
    with made.replayed(gdb_path) as live:
        live.say(HANDLER)
        live.say("continue")
        yield live


@pytest.mark.parametrize("panicked", [SYSTEM, NEWER], indirect=True)
def test_who_mapped_a_page_is_named_and_what_hardware_has_set_is_no_store(panicked: Live) -> None:
    panicked.say("delete")
    asked_at = position(panicked)
    (made,) = panicked.ask(f"who {HOOKED:#x}")
    assert (int(made["before"], 16), int(made["after"], 16) & (P | W | NX)) == (0, P | W | NX)
    assert (made["by_watched_store"], function(made["frames"][0])) == (True, "main")
    assert "\tmov " in panicked.say("x/i $pc")
    panicked.ask(f"who --to {asked_at}")
    # Of its own image the first fetch, store or load made hardware's walk set them, and nothing wrote the entry since.
    (walked,) = panicked.ask("who $pc")
    before, after = int(walked["before"], 16), int(walked["after"], 16)
    assert after & ~before in (A, D, A | D)
    assert (walked["by_watched_store"], walked["by_hardware"]) == (False, True)


def test_an_instruction_behind_the_end_of_the_recording_ends_qemu_and_is_said_to(panicked: Live) -> None:
    said = panicked.refusal(f"mmu who --to {position(panicked) * 2}")
    assert said == "the recording ends before that, and QEMU has ended with it; start the replay again"


def test_with_the_device_that_would_hang_qemu_it_is_refused_and_the_guest_stays(tmp_path: Path, gdb_path: str) -> None:
    with recorded(tmp_path, SYSTEM, ()).replayed(gdb_path) as live:
        live.say(HANDLER)
        live.say("continue")
        at = position(live)
        said = live.refusal(f"mmu who {HOOKED:#x}")
        assert f"its {EMULATOR.never_back_with} waits for a CPU" in said
        assert said.endswith(f"record again, and replay, with {EMULATOR.recorded_with}")
        assert position(live) == at
