"""The oracle's guest itself, with tables laid by hand: nothing of our own walker has a say here.

Everywhere 4 KiB granules and 39 bits in, so that a table of level 1 is one page of 1 GiB blocks, in both stages.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gdbtools.bits import Field, Word
from gdbtools.errors import Unavailable
from tests.guests.oracle import (
    HCR_RW,
    MORE_REGISTER_DEFAULTS,
    REGISTER_DEFAULTS,
    SCR_EEL2,
    SCR_NS,
    SCR_RW,
    TABLES,
    VTCR_RES1,
    Answer,
    Operation,
    Oracle,
    Outcome,
    Request,
    missing,
)
from tests.guests.packages import QEMU_SUITES, qemu

pytestmark = [pytest.mark.guest, pytest.mark.skipif(bool(missing()), reason=missing())]

HYPERVISOR, LOWER, UPPER, KERNEL, STAGE2, SECURE_STAGE2 = (TABLES + 0x1000 * page for page in range(6))
GIB = 1 << 30
VA = 0x40345678
PAGE = VA & 0xFFF
UPPER_HALF = (1 << 64) - (1 << 39)
WRITE_BACK, NON_CACHEABLE = 0xFF, 0x44
UNCATEGORIZED, DATA_ABORT_LOWER_EL, DATA_ABORT_SAME_EL = 0b000000, 0b100100, 0b100101
TRANSLATION_LEVEL_1, PERMISSION_LEVEL_1, ABORT_ON_WALK_LEVEL_1 = 0b000101, 0b001101, 0b010101

SCTLR_M = 1 << 0
HCR_VM, HCR_TGE, HCR_E2H = 1 << 0, 1 << 27, 1 << 34
T0SZ, T1SZ, TG1_4KB = 25, 25 << 16, 0b10 << 30
TCR = T0SZ | T1SZ | TG1_4KB | 0b010 << 32
TCR_EL2 = MORE_REGISTER_DEFAULTS["TCR_EL2"] | T0SZ | 0b010 << 16
VTCR = VTCR_RES1 | T0SZ | 0b01 << 6 | 0b010 << 16  # SL0: from level 1 on
TCR2_PIE = 1 << 1

HYPERVISOR_ON = {
    "SCTLR_EL2": MORE_REGISTER_DEFAULTS["SCTLR_EL2"] | SCTLR_M,
    "TCR_EL2": TCR_EL2,
    "TTBR0_EL2": HYPERVISOR,
    "MAIR_EL2": NON_CACHEABLE << 8 | WRITE_BACK,
}
HOST_ON = {**HYPERVISOR_ON, "TCR_EL2": TCR, "TTBR0_EL2": LOWER, "TTBR1_EL2": UPPER}
KERNEL_ON = {
    "SCTLR_EL1": REGISTER_DEFAULTS["SCTLR_EL1"] | SCTLR_M,
    "TCR_EL1": TCR,
    "TTBR0_EL1": KERNEL,
    "MAIR_EL1": WRITE_BACK,
}
GUEST_ON = {**KERNEL_ON, "HCR_EL2": HCR_RW | HCR_VM, "VTCR_EL2": VTCR, "VTTBR_EL2": STAGE2}


class Translated(Word):
    """PAR_EL1 of a translation that worked (PAR_EL1, F=0)."""

    ATTR = Field((63, 56))
    PA = Field((51, 12), scale=1 << 12)
    NS = Field(9)
    F = Field(0)


class Aborted(Word):
    """PAR_EL1 of a translation that did not (PAR_EL1, F=1)."""

    S = Field(9)
    PTW = Field(8)
    FST = Field((6, 1))
    F = Field(0)


class Syndrome(Word):
    """ESR_ELx (ESR_EL3), of an abort."""

    EC = Field((31, 26))
    FSC = Field((5, 0))


def block(output: int, AP: int = 0b00, AttrIndx: int = 0) -> int:
    """Return a stage 1 block: AF=1, SH=0b11."""
    return output | 1 << 10 | 0b11 << 8 | AP << 6 | AttrIndx << 2 | 0b01


def stage2_block(output: int) -> int:
    """Return a stage 2 block: AF=1, SH=0b11, S2AP=0b11, Normal Write-Back."""
    return output | 1 << 10 | 0b11 << 8 | 0b11 << 6 | 0b1111 << 2 | 0b01


def table(oracle: Oracle, pa: int, entries: dict[int, int]) -> None:
    """Write a table of level 1, whose entry n is about the nth GiB."""
    words = (entries.get(index, 0).to_bytes(8, "little") for index in range(512))
    oracle.write(pa, b"".join(words))


def lay(oracle: Oracle) -> None:
    """Give every root its own GiB to lead to, so that an answer tells which table it came from."""
    table(oracle, HYPERVISOR, {1: block(1 * GIB), 2: block(2 * GIB, AP=0b10, AttrIndx=1)})
    table(oracle, LOWER, {1: block(4 * GIB), 2: block(4 * GIB, AP=0b01)})
    table(oracle, UPPER, {1: block(5 * GIB)})
    table(oracle, KERNEL, {1: block(6 * GIB), 2: block(7 * GIB)})
    table(oracle, STAGE2, {1: stage2_block(1 * GIB), 6: stage2_block(8 * GIB)})
    table(oracle, SECURE_STAGE2, {1: stage2_block(1 * GIB), 6: stage2_block(9 * GIB)})


def running(cpu: str, level: int, suite: str) -> Oracle:
    try:
        return Oracle(cpu, level, qemu(suite))
    except Unavailable as why:
        pytest.skip(str(why))


@pytest.fixture(scope="module", params=("system", *QEMU_SUITES))
def suite(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=("cortex-a57", "max"))
def cpu(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def monitor(suite: str, cpu: str) -> Iterator[Oracle]:
    """The guest at EL3."""
    with running(cpu, 3, suite) as oracle:
        lay(oracle)
        yield oracle


def field(oracle: Oracle, register: str, low: int) -> int:
    return Field((low + 3, low)).of(oracle.identity[register])


@pytest.fixture
def vhe(monitor: Oracle) -> Oracle:
    if not field(monitor, "ID_AA64MMFR1_EL1", 8):
        pytest.skip(f"{monitor.cpu} has no FEAT_VHE")
    return monitor


@pytest.fixture
def secure_el2(monitor: Oracle) -> Oracle:
    if not field(monitor, "ID_AA64PFR0_EL1", 36):
        pytest.skip(f"{monitor.cpu} has no FEAT_SEL2")
    return monitor


@pytest.fixture
def indirect(monitor: Oracle) -> Oracle:
    if not field(monitor, "ID_AA64MMFR3_EL1", 8):
        pytest.skip(f"{monitor.cpu} of this QEMU has no FEAT_S1PIE")
    return monitor


def ask(oracle: Oracle, registers: dict[str, int], operation: int, va: int = VA) -> Answer:
    # Any number may be asked; those of Operation have a name.
    return oracle.ask(registers, [Request(va, operation)])[0]  # type: ignore[arg-type]


def par(oracle: Oracle, registers: dict[str, int], operation: Operation, va: int = VA) -> Translated | Aborted:
    answer = ask(oracle, registers, operation, va)
    assert answer.outcome is Outcome.COMPLETED
    return Aborted(answer.syndrome) if Aborted(answer.syndrome).F else Translated(answer.syndrome)


def translated(oracle: Oracle, registers: dict[str, int], operation: Operation, va: int = VA) -> Translated:
    found = par(oracle, registers, operation, va)
    assert isinstance(found, Translated)
    return found


def aborted(oracle: Oracle, registers: dict[str, int], operation: Operation, va: int = VA) -> Aborted:
    found = par(oracle, registers, operation, va)
    assert isinstance(found, Aborted)
    return found


def pa(oracle: Oracle, registers: dict[str, int], operation: Operation, va: int = VA) -> int:
    return translated(oracle, registers, operation, va).PA | PAGE


def test_the_guest_stays_where_reset_leaves_it_and_knows_its_machine(monitor: Oracle) -> None:
    assert monitor.identity["CurrentEL"] == 3 << 2
    assert monitor.identity["MIDR_EL1"]
    assert field(monitor, "ID_AA64PFR0_EL1", 12), "there is no EL3"
    with Oracle(monitor.cpu, 2, monitor.qemu) as hypervisor:
        differing = {name for name, value in monitor.identity.items() if hypervisor.identity[name] != value}
    assert {"CurrentEL"} <= differing <= {"CurrentEL", "ID_AA64PFR0_EL1"}, "EL3, and what needs it"


def test_with_every_mmu_off_an_address_is_its_own_translation(monitor: Oracle) -> None:
    for operation in (Operation.AT_S1E1R, Operation.AT_S1E0W, Operation.AT_S12E1R, Operation.AT_S1E2R):
        assert pa(monitor, {}, operation) == VA


def test_s1e2_gives_the_address_and_the_memory_type_of_a_block(monitor: Oracle) -> None:
    for operation in (Operation.AT_S1E2R, Operation.AT_S1E2W):
        found = translated(monitor, HYPERVISOR_ON, operation)
        assert (found.PA, found.ATTR, found.NS) == (VA - PAGE, WRITE_BACK, 1)
    found = translated(monitor, HYPERVISOR_ON, Operation.AT_S1E2R, 2 * GIB)
    assert (found.PA, found.ATTR, found.NS) == (2 * GIB, NON_CACHEABLE, 1)


def test_s1e2_reports_what_fails_and_where(monitor: Oracle) -> None:
    invalid = aborted(monitor, HYPERVISOR_ON, Operation.AT_S1E2R, 3 * GIB)
    assert (invalid.FST, invalid.S, invalid.PTW) == (TRANSLATION_LEVEL_1, 0, 0)
    read_only = aborted(monitor, HYPERVISOR_ON, Operation.AT_S1E2W, 2 * GIB)
    assert (read_only.FST, read_only.S, read_only.PTW) == (PERMISSION_LEVEL_1, 0, 0)


def test_s12_goes_through_both_stages_and_s1_through_one(monitor: Oracle) -> None:
    assert pa(monitor, GUEST_ON, Operation.AT_S1E1R) == 5 * GIB + VA
    assert pa(monitor, GUEST_ON, Operation.AT_S12E1R) == 7 * GIB + VA
    stage2 = aborted(monitor, GUEST_ON, Operation.AT_S12E1R, 2 * GIB)
    assert (stage2.FST, stage2.S, stage2.PTW) == (TRANSLATION_LEVEL_1, 1, 0)
    stage1 = aborted(monitor, GUEST_ON, Operation.AT_S12E0R)
    assert (stage1.FST, stage1.S, stage1.PTW) == (PERMISSION_LEVEL_1, 0, 0)


@pytest.mark.parametrize("operation", [Operation.AT_S1E1R, Operation.AT_S12E1R])
def test_a_table_that_stage_2_does_not_map_is_a_stage_2_fault_of_the_walk(
    monitor: Oracle, operation: Operation
) -> None:
    # Both at level 1: QEMU 7.2 gives the level of the stage 1 lookup, later ones that of stage 2, as the manual has it.
    found = aborted(monitor, {**GUEST_ON, "TTBR0_EL1": 2 * GIB}, operation)
    assert (found.FST, found.S, found.PTW) == (TRANSLATION_LEVEL_1, 1, 1)


def test_a_batch_sees_the_stage_2_tables_as_they_are_now(monitor: Oracle) -> None:
    for mapped in (True, False, True):
        table(monitor, STAGE2, {1: stage2_block(1 * GIB), 6: stage2_block(8 * GIB)} if mapped else {})
        assert isinstance(par(monitor, GUEST_ON, Operation.AT_S1E1R), Translated if mapped else Aborted)


def test_a_table_beyond_all_memory_is_an_exception_that_the_guest_survives(monitor: Oracle) -> None:
    requests = [Request(VA, Operation.AT_S1E2R), Request(VA, Operation.AT_S1E1R)]
    taken, after = monitor.ask({**HYPERVISOR_ON, **KERNEL_ON, "TTBR0_EL2": 0x70_0000_0000}, requests)
    syndrome = Syndrome(taken.syndrome)
    assert taken.outcome is Outcome.TAKEN_TO_EL3
    assert (syndrome.EC, syndrome.FSC) == (DATA_ABORT_SAME_EL, ABORT_ON_WALK_LEVEL_1)
    assert taken.far == VA
    assert after.outcome is Outcome.COMPLETED
    assert Translated(after.syndrome).PA | PAGE == 5 * GIB + VA


@pytest.mark.parametrize("operation", [12, 13, 14, 15, *(o for o in Operation if o >= Operation.LOAD_EL1)])
def test_what_el3_cannot_do_is_uncategorized(monitor: Oracle, operation: int) -> None:
    answer = ask(monitor, {}, operation)
    assert answer.outcome is Outcome.TAKEN_TO_EL3
    assert Syndrome(answer.syndrome).EC == UNCATEGORIZED


def test_an_at_that_the_machine_does_not_have_is_uncategorized(monitor: Oracle) -> None:
    answer = ask(monitor, {}, Operation.AT_S1E1RP)
    if field(monitor, "ID_AA64MMFR1_EL1", 20) >= 2:
        assert answer.outcome is Outcome.COMPLETED
    else:
        assert (answer.outcome, Syndrome(answer.syndrome).EC) == (Outcome.TAKEN_TO_EL3, UNCATEGORIZED)


def test_any_value_in_any_register_is_survived(monitor: Oracle) -> None:
    ones = (1 << 64) - 1
    everything = {**REGISTER_DEFAULTS, **MORE_REGISTER_DEFAULTS}
    requests = [Request(VA, operation) for operation in Operation if operation <= Operation.AT_S1E2W]
    for registers in (dict.fromkeys(everything, ones), dict.fromkeys(everything, 0)):
        monitor.ask(registers, requests)
        assert pa(monitor, HYPERVISOR_ON, Operation.AT_S1E2R) == VA
        assert pa(monitor, GUEST_ON, Operation.AT_S12E1R) == 7 * GIB + VA


def test_with_e2h_s1e2_has_two_halves(vhe: Oracle) -> None:
    registers = {**HOST_ON, "HCR_EL2": HCR_RW | HCR_E2H}
    assert pa(vhe, registers, Operation.AT_S1E2R) == 3 * GIB + VA
    assert pa(vhe, registers, Operation.AT_S1E2R, UPPER_HALF | VA) == 4 * GIB + VA


@pytest.mark.parametrize("operation", [Operation.AT_S1E1R, Operation.AT_S12E1R])
def test_with_e2h_and_tge_el1_at_is_about_el2_and_0(vhe: Oracle, operation: Operation) -> None:
    both = {**HOST_ON, **GUEST_ON}
    for hcr, lower in ((HCR_E2H | HCR_TGE, 3 * GIB + VA), (HCR_E2H, 5 * GIB + VA)):
        assert pa(vhe, {**both, "HCR_EL2": HCR_RW | hcr}, operation) == lower
    host = {**both, "HCR_EL2": HCR_RW | HCR_E2H | HCR_TGE}
    assert pa(vhe, host, operation, UPPER_HALF | VA) == 4 * GIB + VA
    el0 = Operation.AT_S1E0R
    assert aborted(vhe, host, el0).FST == PERMISSION_LEVEL_1
    assert pa(vhe, host, el0, 2 * GIB | PAGE) == 4 * GIB | PAGE


def test_secure_el2_has_its_own_stage_2(secure_el2: Oracle) -> None:
    registers = {**GUEST_ON, **HYPERVISOR_ON, "VSTTBR_EL2": SECURE_STAGE2, "VSTCR_EL2": VTCR_RES1 | T0SZ | 0b01 << 6}
    secure = {**registers, "SCR_EL3": SCR_RW | SCR_EEL2}
    found = translated(secure_el2, secure, Operation.AT_S12E1R)
    assert (found.PA | PAGE, found.NS) == (8 * GIB + VA, 0)
    found = translated(secure_el2, registers, Operation.AT_S12E1R)
    assert (found.PA | PAGE, found.NS) == (7 * GIB + VA, 1)
    assert translated(secure_el2, secure, Operation.AT_S1E2R).NS == 0


def test_a_secure_batch_sees_the_stage_2_tables_as_they_are_now(secure_el2: Oracle) -> None:
    registers = {**GUEST_ON, "VSTTBR_EL2": SECURE_STAGE2, "VSTCR_EL2": VTCR_RES1 | T0SZ | 0b01 << 6}
    for mapped in (True, False, True):
        blocks = {1: stage2_block(1 * GIB), 6: stage2_block(9 * GIB)}
        table(secure_el2, SECURE_STAGE2, blocks if mapped else {})
        found = par(secure_el2, {**registers, "SCR_EL3": SCR_RW | SCR_EEL2}, Operation.AT_S1E1R)
        assert isinstance(found, Translated if mapped else Aborted)


def test_in_secure_state_without_eel2_there_is_no_el2_to_ask_about(monitor: Oracle) -> None:
    registers = {**HYPERVISOR_ON, **GUEST_ON, "SCR_EL3": SCR_RW}
    answer = ask(monitor, registers, Operation.AT_S1E2R)
    assert (answer.outcome, Syndrome(answer.syndrome).EC) == (Outcome.TAKEN_TO_EL3, UNCATEGORIZED)
    found = translated(monitor, registers, Operation.AT_S12E1R)
    assert (found.PA | PAGE, found.NS) == (5 * GIB + VA, 0), "no stage 2 either"


def test_permission_indirection_is_programmed(indirect: Oracle) -> None:
    registers = {**KERNEL_ON, "TCR2_EL1": TCR2_PIE}
    none, read, read_write = 0b0000, 0b0001, 0b0101
    for permissions, reads, writes in ((none, False, False), (read, True, False), (read_write, True, True)):
        for operation, works in ((Operation.AT_S1E1R, reads), (Operation.AT_S1E1W, writes)):
            found = par(indirect, {**registers, "PIR_EL1": permissions}, operation)
            assert isinstance(found, Translated if works else Aborted)
    without_TCR2En = {**registers, "SCR_EL3": SCR_NS | SCR_RW}
    assert pa(indirect, without_TCR2En, Operation.AT_S1E1W) == 5 * GIB + VA


def test_a_real_access_at_the_guest_at_el2_says_which_ipa_stage_2_lacks(suite: str, cpu: str) -> None:
    with running(cpu, 2, suite) as hypervisor:
        lay(hypervisor)
        table(hypervisor, KERNEL, {1: block(1 * GIB), 2: block(7 * GIB)})
        requests = [Request(2 * GIB | PAGE, Operation.LOAD_EL1), Request(TABLES, Operation.LOAD_EL1), Request(0, 12)]
        fault, load, none = hypervisor.ask(GUEST_ON, requests, hypervisor.stub_pa)
        assert fault.outcome is Outcome.TAKEN_TO_EL2
        syndrome = Syndrome(fault.syndrome)
        assert (syndrome.EC, syndrome.FSC) == (DATA_ABORT_LOWER_EL, TRANSLATION_LEVEL_1)
        assert (fault.far, fault.hpfar) == (2 * GIB | PAGE, 7 * GIB >> 8)
        assert load.outcome is Outcome.COMPLETED
        assert (none.outcome, Syndrome(none.syndrome).EC) == (Outcome.TAKEN_TO_EL2, UNCATEGORIZED)
        with pytest.raises(AssertionError, match="SCR_EL3"):
            hypervisor.ask({"SCR_EL3": SCR_NS}, [])
