"""`mmu catch --regime`: faults of stage 2 and of EL2, caught from a stop in their guest."""

from __future__ import annotations

import pytest

from gdbtools.children.mi import Gdb
from tests.live.verdicts import planted, symbol

pytestmark = pytest.mark.guest

FROM_GUEST = 0x400


def test_a_fault_of_stage_2_is_caught_from_a_stop_in_the_guest(gdb: Gdb) -> None:
    vectors = symbol("vectors_el2")
    with planted(gdb, "stage2_unmapped", hypervisor=True) as live:
        assert live.value("$cpsr >> 2 & 3") == 1, "the guest's own level"
        (answer,) = live.ask("catch translation --regime stage2")
        assert answer["regime"] == "stage2"
        assert [int(each["address"], 16) for each in answer["breakpoints"]] == [vectors + FROM_GUEST, vectors + 0x600]
        assert 'stop only if $_mmu_fault("translation", "stage2")' in live.say("info breakpoints")
        assert live.ask("status")[0]["abilities"]["catching"] == "translation of stage2"
        live.say("continue")
        assert live.value("$pc") == vectors + FROM_GUEST
        sentence, _ = live.verdict()
        assert "stage 2 translation fault, level 3" in sentence


@pytest.mark.parametrize("words", ["any --regime el2", "permission --regime stage2", "any --regime el1"])
def test_what_is_no_fault_of_that_regime_runs_on_unseen(gdb: Gdb, words: str) -> None:
    at = symbol("vectors_el2") + FROM_GUEST
    with planted(gdb, "stage2_unmapped", hypervisor=True) as live:
        live.say(f"mmu catch {words}")
        live.say(f"hbreak *{at:#x}")
        own = live.value("$bpnum")
        said = live.say("continue")
        assert live.value("$pc") == at
        assert f"Breakpoint {own}," in said, "no catch stopped there"


def test_the_register_that_is_0_is_named(gdb: Gdb) -> None:
    with planted(gdb, "stage2_unmapped", hypervisor=True) as live:
        live.say("monitor system_reset")
        live.say("stepi")
        assert live.value("$cpsr >> 2 & 3") == 2, "it begins at EL2"
        assert "VBAR_EL2 is 0" in live.refusal("mmu catch any")
        assert "VBAR_EL1 is 0" in live.refusal("mmu catch any --regime el1")
