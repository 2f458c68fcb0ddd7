"""Whose stage 2 it is: HCR_EL2 of the stop is not always the guest's, and stage 2 may be off."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.translation.stage2 import Stage2
from gdbtools.arch.aarch64.translation.stage2_owner import Stage2Off
from gdbtools.arch.model import Fault, FaultKind, Mapped, Regime, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.cli import main
from tests.arch.aarch64.truth.machine import E2H, EL2H, FEATURES, FWB, IPA, PA, RW, S2_ROOT, TGE, VM, Memory, guest
from tests.commands.test_map import saved
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
VMID = 7
FORCED_NORMAL = 0b0110 << 2 | 3 << 6
"""What KVM gives a guest's memory where FWB is on: MemAttr 0b0110 is Write-Back then, and else no such thing."""
VHE_HOST = {"HCR_EL2": RW | E2H | TGE, "cpsr": EL2H, "VTTBR_EL2": S2_ROOT | VMID << 48}
NVHE_HOST = {"HCR_EL2": RW, "VTTBR_EL2": 0}


def stage2(**changes: int) -> Regime:
    return ARM.regime_for(reader(guest(**changes)), 0, "stage2")


def memory_of(regime: Regime) -> str:
    memory = Memory()
    memory.stage2(FORCED_NORMAL)
    found = walk(regime, IPA, memory.read)
    assert found.outcome == Mapped(PA, 4096), "where it leads does not hang on HCR_EL2"
    assert found.attributes is not None
    return found.attributes.memory


def test_of_a_guest_that_runs_hcr_is_its_own() -> None:
    forced, plain = stage2(HCR_EL2=RW | VM | FWB), stage2(HCR_EL2=RW | VM)
    assert "Write-Back whatever" in memory_of(forced)
    assert "Write-Through" in memory_of(plain)
    assert forced.notes == plain.notes == ()


def test_at_a_vhe_hosts_stop_the_memory_type_is_both_that_it_may_be() -> None:
    regime = stage2(**VHE_HOST)
    assert isinstance(regime, Stage2)
    said = memory_of(regime)
    assert memory_of(stage2(HCR_EL2=RW | VM)) in said
    assert memory_of(stage2(HCR_EL2=RW | VM | FWB)) in said
    [whose, unknown] = regime.notes
    assert "VMID 7" in whose
    assert "--with HCR_EL2.FWB=1" in unknown


@pytest.mark.parametrize(("hcr", "forced"), [(RW | E2H | TGE | FWB, True), (RW | VM | FWB, True), (RW | VM, False)])
def test_what_the_guests_hcr_was_can_be_supplied(hcr: int, forced: bool) -> None:
    said = memory_of(stage2(**{**VHE_HOST, "HCR_EL2": hcr}))
    assert said == memory_of(stage2(HCR_EL2=RW | VM | (FWB if forced else 0)))


def test_a_cpu_without_fwb_leaves_nothing_open() -> None:
    without = {"ID_AA64MMFR2_EL1": FEATURES["ID_AA64MMFR2_EL1"] & ~(0xF << 40)}
    regime = stage2(**VHE_HOST, **without)
    assert memory_of(regime) == memory_of(stage2(HCR_EL2=RW | VM))
    assert len(regime.notes) == 1


@pytest.mark.parametrize("changes", [NVHE_HOST, {**VHE_HOST, "VTTBR_EL2": VMID << 48}])
def test_where_no_table_is_named_stage_2_is_off_and_nothing_is_read(changes: dict[str, int]) -> None:
    regime = stage2(**changes)

    def read(pa: int, size_bytes: int) -> bytes:
        raise AssertionError(f"{size_bytes} bytes at {pa:#x} are read of an address space that has no tables")

    assert isinstance(regime, Stage2Off)
    assert walk(regime, 0x1234, read).outcome == Mapped(0x1234, regime.last + 1)
    assert walk(regime, 1 << 50, read).outcome == Fault(FaultKind.ADDRESS_SIZE, 2, 0)
    [run] = scan(regime, read)
    assert isinstance(run, Run)
    assert (run.first, run.last, run.output) == (0, regime.last, 0)


def test_tables_at_address_0_of_a_guest_that_runs_are_believed() -> None:
    assert isinstance(stage2(VTTBR_EL2=0), Stage2), "HCR_EL2.VM is 1: hardware walks them"


def test_above_its_guests_a_hypervisor_has_what_it_loaded_last() -> None:
    at_el2 = stage2(cpsr=EL2H, VTTBR_EL2=S2_ROOT | VMID << 48)
    assert isinstance(at_el2, Stage2)
    [note] = at_el2.notes
    assert "VMID 7" in note
    assert "last one loaded" in note


def test_a_guests_own_stage_says_that_stage_2_is_left_out_where_hcr_is_a_hosts() -> None:
    regimes = ARM.regimes(reader(guest(**VHE_HOST)), "el1")
    assert all(regime.below is None and "an output is an IPA" in regime.notes[-1] for regime in regimes)
    supplied = ARM.regimes(reader(guest(**{**VHE_HOST, "HCR_EL2": 0x8000_0001})), "el1")
    assert all(regime.below is not None and not regime.notes for regime in supplied)
    assert not ARM.regimes(reader(guest(**NVHE_HOST)), "el1")[0].notes, "at EL1 what runs there is not a guest"


def test_that_stage_2_is_off_is_the_answer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = saved(Memory({S2_ROOT: 0}), tmp_path, guest(**NVHE_HOST))
    assert main(["map", *words, "--regime", "stage2"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("Stage 2 off (HCR_EL2.VM is 0, VTTBR_EL2 names no table): every address is its own output.")
    assert main(["walk", "0x1234", *words, "--regime", "stage2"]) == 0
    assert capsys.readouterr().out.startswith("0x1234 -> 0x1234 (stage 2 is off)")
