"""A new connection may lead to another guest: what is remembered of the one before is not said or done there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gdbtools.children.processes import Qemu
from tests.live.session import GUEST, Live, attached

pytestmark = pytest.mark.guest


@pytest.fixture
def repaired(qemu: str, gdb_path: str) -> Iterator[Live]:
    """A guest of which one access flag was set, and whose faults are caught."""
    with attached(gdb_path) as live:
        live.to_fault()
        live.say("mmu fixup")
        yield live


def written(live: Live) -> str:
    return str(live.ask("status")[0]["abilities"]["written so far"])


def test_another_guest_has_no_journal_and_no_catch(repaired: Live) -> None:
    with Qemu(GUEST, 1, "cortex-a57") as other:
        repaired.say("disconnect")
        said = repaired.say(f"target remote {other.gdbstub}")
        line = "mmu: this is another guest; forgotten with the one before: 1 descriptor to take back, catch access-flag"
        assert line in said
        assert "nothing" in repaired.refusal("mmu undo")
        assert "No breakpoints" in repaired.say("info breakpoints")
        assert written(repaired) == "0 descriptors"


def test_the_same_guest_again_keeps_both(repaired: Live) -> None:
    repaired.say("disconnect")
    said = repaired.say(f"target remote {repaired.qemu.gdbstub}")
    assert "another guest" not in said
    assert "$_mmu_fault" in repaired.say("info breakpoints")
    assert written(repaired) == "1 descriptor"
    repaired.say("mmu undo")
    assert written(repaired) == "0 descriptors"
