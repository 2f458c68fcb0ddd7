"""From registers to regimes: what is off, what is lacking, and whose registers they are."""

from __future__ import annotations

import pytest

from gdbtools.addresses import VA
from gdbtools.arch.model import Mapped
from gdbtools.errors import Unavailable, UsageError
from tests.arch.aarch32.machine import AARCH32, EAE, HYP, MONITOR, PL0, PL1, PL2, READ, USER, M, Machine, page, section

SECTION = 0x8010_0000 | 3 << 10 | 0b10


@pytest.mark.parametrize(
    ("mode", "level"),
    [
        (USER, PL0),
        (0x11, PL1),
        (0x12, PL1),
        (0x13, PL1),
        (MONITOR, PL1),
        (0x17, PL1),
        (HYP, PL2),
        (0x1B, PL1),
        (0x1F, PL1),
    ],
)
def test_each_mode_is_at_a_level(mode: int, level: int) -> None:
    assert AARCH32.privilege(Machine({"cpsr": mode}).register) == level
    assert (PL0.is_user, PL1.is_user) == (True, False)


@pytest.mark.parametrize(("registers", "said"), [({"SCTLR": 0}, "SCTLR.M is 0"), ({"HCR": 1 << 27}, "HCR.TGE is 1")])
def test_an_mmu_that_is_off_leads_everything_to_itself(registers: dict[str, int], said: str) -> None:
    machine = Machine(registers)
    (regime,) = machine.regimes()
    assert regime.name == f"PL1&0 stage 1, MMU off ({said})"
    assert machine.walk(0xFFFF_F123).outcome == Mapped(0xFFFF_F123, 1 << 32)
    assert machine.rights(0) == ("rwx", "rwx")
    found = machine.attributes(0)
    assert (found.memory, found.shareability, found.device) == ("Device-nGnRnE", "Outer Shareable", True)
    assert not found.unshared
    assert machine.refused(0) is None


@pytest.mark.parametrize("sctlr", [0, M])
def test_there_are_32_bits_of_address(sctlr: int) -> None:
    machine = section(SECTION, SCTLR=sctlr)
    refused = machine.refused(1 << 32, READ)
    assert refused is not None
    assert (refused.decider.cause.name, refused.fault.level) == ("ADDRESS_TOO_LARGE", 1)


def test_what_stands_in_for_registers_that_are_not_there_is_said() -> None:
    machine = page(SECTION & ~0xFFF | 3 << 4 | 0b10, 0x4000_8000 | 5 << 5 | 1)
    for name in ("SCTLR", "DACR", "ID_MMFR0"):
        del machine.registers[name]
    (regime,) = machine.regimes()
    assert regime.assumed == (
        "SCTLR: M=1, AFE=0, TRE=0, WXN=0, EE=0", "DACR: every domain a client's", "ID_MMFR0: there is PXN",
    )  # fmt: skip
    assert machine.refused(0) is None
    assert section(SECTION).regimes()[0].assumed == ()
    long = Machine({"TTBCR": EAE})
    del long.registers["SCTLR"]
    assert long.regimes()[0].assumed == ("SCTLR: M=1, AFE=0, TRE=0, WXN=0, EE=0",)


@pytest.mark.parametrize(
    ("registers", "said"),
    [
        ({"SCR": 0}, "Secure state"),
        ({"SCR": 1, "cpsr": MONITOR}, "Secure state"),
    ],
)
def test_what_is_of_somebody_else_is_not_taken_for_pl1s(registers: dict[str, int], said: str) -> None:
    with pytest.raises(Unavailable, match=said):
        section(SECTION, **registers).regimes()


def test_non_secure_state_is_pl1s_and_so_is_what_hyp_mode_asks_for_by_name() -> None:
    assert section(SECTION, SCR=1).regimes()
    assert AARCH32.regimes(section(SECTION, cpsr=HYP).register, "pl1")
    with pytest.raises(UsageError, match="el1 is no regime of AArch32; there is pl1"):
        AARCH32.regimes(section(SECTION).register, "el1")


def test_a_source_without_cpsr_is_a_kernels() -> None:
    machine = section(SECTION)
    del machine.registers["cpsr"]
    assert machine.regimes()


def test_the_range_of_an_address_is_found_at_its_edges() -> None:
    machine = Machine({"TTBCR": 1})
    names = [
        AARCH32.regime_for(machine.register, VA(va)).short_name for va in (0, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
    ]
    assert names == ["TTBR0", "TTBR0", "TTBR1", "TTBR1"]


@pytest.mark.parametrize(
    ("eae", "fields"), [(0, ("N", "PD0", "NOS7", "OR0")), (EAE, ("T0SZ", "EPD0", "Attr3", "Attr7"))]
)
def test_registers_are_laid_out_by_the_format(eae: int, fields: tuple[str, ...]) -> None:
    register = Machine({"TTBCR": eae, "CONTEXTIDR": 0}).register
    assert AARCH32.word("TTBCR", register).field(fields[0])
    assert AARCH32.word("TTBCR", register).field(fields[1])
    assert AARCH32.word("MAIR0", register).field(fields[2])
    assert AARCH32.word("MAIR1", register).field(fields[3])
    assert AARCH32.word("TTBR0", register).width == (64 if eae else 32)
    assert AARCH32.laid_out_by("TTBR0") == ("TTBCR", "EAE")
    assert AARCH32.laid_out_by("TTBCR") is AARCH32.laid_out_by("DACR") is None
    assert AARCH32.register_name("prrr", 1) == "MAIR0"
    assert AARCH32.register_name("Dacr", 1) == "DACR"


def test_a_value_by_itself_is_decoded_in_either_format() -> None:
    short, long = (AARCH32.bare_regime("4k", "pl1", level) for level in (1, 3))
    assert [each.number for each in short.levels] == [1, 2]
    assert [each.number for each in long.levels] == [1, 2, 3]
    with pytest.raises(UsageError, match="leave --granule out"):
        AARCH32.bare_regime("16k", "pl1", 1)
