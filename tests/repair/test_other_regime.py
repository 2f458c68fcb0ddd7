"""A borrowed TLB invalidation is about the regime that the CPU is in: it is never made for the tables of another."""

from __future__ import annotations

import pytest

from gdbtools.addresses import IPA, PA, VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.tables.descriptors import Stage2Leaf
from gdbtools.arch.gadgets import Extent, Scope
from gdbtools.errors import Refused, Unavailable
from gdbtools.machine.layers import FixedRegisters, Ranges
from gdbtools.machine.model import Cpu, Machine
from gdbtools.repair import descriptor, tlb
from gdbtools.repair.change import Change
from gdbtools.repair.log import Repair, Way

AT_EL1, AT_EL2 = 0b0101, 0b1001
ADDRESS = 0x4000_0000


def machine(cpsr: int) -> Machine:
    registers = {"cpsr": cpsr, "HCR_EL2": 1}
    return Machine(ARCHITECTURES["aarch64"], Ranges((), "nothing"), (Cpu(0, FixedRegisters(registers, "the test")),))


def repaired(regime: str | None, way: Way = Way.INVALIDATE) -> Repair:
    leaf = Stage2Leaf(0x4000_07FF)
    return Repair("pte", (Change(PA(0x1000), leaf, leaf.with_(AF=0), address=IPA(ADDRESS)),), way, regime)


@pytest.mark.parametrize("way", [Way.INVALIDATE, Way.BREAK])
def test_an_intermediate_physical_address_is_not_invalidated_as_a_virtual_one(way: Way) -> None:
    with pytest.raises(Refused, match="TLBI would be about el1 at this stop, and these tables are stage2's"):
        descriptor.invalidation(machine(AT_EL1), repaired("stage2", way))


def test_a_guests_address_is_not_invalidated_as_its_hypervisors() -> None:
    with pytest.raises(Refused, match="about el2 at this stop, and these tables are el1's"):
        descriptor.invalidation(machine(AT_EL2), repaired("el1"))


def test_what_is_only_written_needs_no_regime() -> None:
    assert descriptor.invalidation(machine(AT_EL1), repaired("stage2", Way.WRITE)) is None


@pytest.mark.parametrize("regime", [None, "el1"])
def test_the_cpus_own_regime_is_looked_after_as_before(regime: str | None) -> None:
    # It goes on to ask which ASID an address is of.
    with pytest.raises(Unavailable, match="TCR_EL1"):
        tlb.plan(machine(AT_EL1), (Scope(Extent.ADDRESS, VA(ADDRESS)),), regime)
