"""What the registers around a syndrome add to it: who took it, by which vector, where it returns, what was called."""

from __future__ import annotations

import pytest

from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from gdbtools.arch.aarch64.syndrome import EC
from gdbtools.arch.model import ReadRegister, Return, VectorEntry
from gdbtools.systems import convention
from tests.tables import reader

EL0T, EL1H, EL2H, EL3H = 0b0000, 0b0101, 0b1001, 0b1101
VBAR, E2H, TGE, TSC = 0x4000_0800, 1 << 34, 1 << 27, 1 << 19
STAGE_2_TRANSLATION, PERMISSION = 0b000111, 0b001111


def taken(to: int, came_from: int, exception_class: int, iss: int = 0, **changes: int) -> ReadRegister:
    """Registers after an exception, the pc at its vector entry."""
    level = {1: EL1H, 2: EL2H, 3: EL3H}[to]
    quarter = 0x200 if came_from == level else 0x400
    return reader(
        {
            "cpsr": level,
            f"ESR_EL{to}": exception_class << 26 | 1 << 25 | iss,
            f"SPSR_EL{to}": came_from,
            f"ELR_EL{to}": 0x1000,
            f"FAR_EL{to}": 0x2000,
            f"VBAR_EL{to}": VBAR,
            "pc": VBAR + quarter,
            "ID_AA64PFR0_EL1": 0x1111,
            "HCR_EL2": 1 << 31,
            "SCR_EL3": 1 | 1 << 10,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("to", "came_from", "exception_class", "hcr", "returns"),
    [
        (1, EL0T, EC.SVC, 0, Return.NEXT_INSTRUCTION),
        (2, EL0T, EC.SVC, TGE, Return.NEXT_INSTRUCTION),
        (2, EL0T, EC.SVC, TGE | E2H, Return.NEXT_INSTRUCTION),
        (2, EL2H, EC.SVC, 0, Return.NEXT_INSTRUCTION),
        (2, EL1H, EC.SVC, 0, Return.THIS_INSTRUCTION),  # HFGITR_EL2.SVC_EL1
        (2, EL1H, EC.SMC, TSC, Return.THIS_INSTRUCTION),
        (3, EL1H, EC.SMC, 0, Return.NEXT_INSTRUCTION),
        (2, EL1H, EC.HVC, 0, Return.NEXT_INSTRUCTION),
        (2, EL1H, EC.SYSTEM, 0, Return.THIS_INSTRUCTION),
    ],
)
def test_a_call_returns_behind_itself_unless_it_was_trapped(
    to: int, came_from: int, exception_class: EC, hcr: int, returns: Return
) -> None:
    record = ARM.exceptions.record(taken(to, came_from, exception_class, HCR_EL2=1 << 31 | hcr))
    assert (record.target, record.syndrome.returns) == (to, returns)


QUARTERS = ("current EL, SP_EL0", "current EL, SP_ELx", "lower EL, AArch64", "lower EL, AArch32")
KINDS = ("", ", IRQ", ", FIQ", ", SError")


def test_each_of_the_sixteen_vector_entries_is_known_and_an_interrupts_has_no_syndrome() -> None:
    for at in range(16):
        register = taken(1, EL1H, EC.BRK, pc=VBAR + at * 0x80)
        name, interrupts = QUARTERS[at // 4] + KINDS[at % 4], at % 4 in (1, 2)
        assert ARM.exceptions.vector_entry(register) == VectorEntry(
            name, KINDS[at % 4].removeprefix(", ") if interrupts else ""
        )
        assert ARM.exceptions.entry(register) == ("" if interrupts else name)
    for offset in (0x4, 0x84, 0x800):
        assert ARM.exceptions.vector_entry(taken(1, EL1H, EC.BRK, pc=VBAR + offset)) is None


@pytest.mark.parametrize(
    ("offset", "came_from", "exception_class", "against"),
    [
        (0x200, EL1H, EC.BRK, ""),
        (0x000, 0b0100, EC.BRK, ""),
        (0x400, EL0T, EC.SVC, ""),
        (0x600, 0b10000, EC.SVC_AARCH32, ""),
        (0x380, EL1H, EC.SERROR, ""),
        (0x200, EL0T, EC.BRK, "pc is at the vector entry current EL, SP_ELx, and SPSR_EL1 says EL0"),
        (0x400, EL1H, EC.BRK, "pc is at the vector entry lower EL, AArch64, and SPSR_EL1 says EL1"),
        (0x000, EL1H, EC.BRK, "pc is at the vector entry current EL, SP_EL0, and SPSR_EL1 says EL1 with SP_ELx"),
        (0x380, EL1H, EC.BRK, "pc is at the vector entry current EL, SP_ELx, SError, and ESR_EL1 says BRK"),
        (0x200, EL1H, EC.SERROR, "pc is at the vector entry current EL, SP_ELx, and ESR_EL1 says SError"),
        (0x200, EL1H, EC.DATA_ABORT_LOWER_EL, "SPSR_EL1 says EL1, and the class is of a lower level"),
    ],
)
def test_registers_that_cannot_be_of_the_entry_are_not_taken_for_its_exception(
    offset: int, came_from: int, exception_class: EC, against: str
) -> None:
    register = taken(1, came_from, exception_class, pc=VBAR + offset)
    entry = ARM.exceptions.vector_entry(register)
    assert entry is not None
    assert ARM.exceptions.fits_entry(ARM.exceptions.record(register), entry) == against


def test_a_synchronous_external_abort_may_be_taken_at_serrors_entry() -> None:
    register = taken(1, EL1H, EC.DATA_ABORT_SAME_EL, 0b010000, pc=VBAR + 0x380)
    assert not ARM.exceptions.fits_entry(ARM.exceptions.record(register), VectorEntry("current EL, SP_ELx, SError"))


def test_the_ipa_of_a_stage_2_fault_comes_from_hpfar_where_that_is_valid() -> None:
    hpfar = 0x8765_4000 >> 12 << 4
    for iss, ipa in ((STAGE_2_TRANSLATION, 0x8765_4000), (PERMISSION, None), (PERMISSION | 1 << 7, 0x8765_4000)):
        record = ARM.exceptions.record(taken(2, EL1H, EC.DATA_ABORT_LOWER_EL, iss, HPFAR_EL2=hpfar))
        assert record.syndrome.fault is not None
        assert (record.syndrome.fault.stage, record.ipa) == (2, ipa)
    assert (
        ARM.exceptions.record(taken(1, EL0T, EC.DATA_ABORT_LOWER_EL, STAGE_2_TRANSLATION, HPFAR_EL2=hpfar)).ipa is None
    )
    assert (
        ARM.exceptions.record(taken(2, EL2H, EC.DATA_ABORT_SAME_EL, STAGE_2_TRANSLATION, HPFAR_EL2=hpfar)).ipa is None
    )
    assert ARM.exceptions.record(taken(2, EL1H, EC.DATA_ABORT_LOWER_EL, STAGE_2_TRANSLATION)).ipa is None, (
        "no HPFAR_EL2"
    )


def test_what_el1_does_through_vncr_is_a_fault_of_el2s_own_stage_1() -> None:
    record = ARM.exceptions.record(
        taken(2, EL1H, EC.DATA_ABORT_SAME_EL, 1 << 13 | STAGE_2_TRANSLATION, HPFAR_EL2=1 << 4)
    )
    assert record.syndrome.fault is not None
    assert (record.syndrome.fault.stage, record.regime, record.ipa) == (1, "el2", None)
    assert (record.origin, record.syndrome.from_lower) == (1, True)


@pytest.mark.parametrize(
    ("exception_class", "immediate", "registers", "said"),
    [
        (EC.BRK, 0x800, {}, "Linux: BUG or WARN"),
        (EC.SVC, 0, {}, "Linux: system call number in x8"),
        (EC.SMC, 0, {"x0": 0x8400_0008}, "PSCI: SYSTEM_OFF"),
        (EC.SMC, 0, {"x0": 0xFFFF_FFFF_8400_0008}, "PSCI: SYSTEM_OFF"),
        (EC.HVC, 0, {"x0": 0xC400_0003}, "PSCI: CPU_ON"),
        (EC.HVC, 0xEA1, {"x16": 12}, "Xen: memory_op"),
        (EC.HVC, 0xEA1, {}, "Xen: hypercall number in x16"),
        (EC.HVC, 0x1234, {"x0": 0x8400_0008}, ""),
        (EC.SYSTEM, 0, {}, ""),
    ],
)
def test_a_call_is_named_by_its_convention(
    exception_class: EC, immediate: int, registers: dict[str, int], said: str
) -> None:
    register = taken(2, EL1H, exception_class, immediate, **registers)
    assert convention(ARM, ARM.exceptions.record(register).syndrome, register) == said


def test_without_the_registers_of_the_instruction_only_its_immediate_is_named() -> None:
    assert convention(ARM, ARM.exceptions.decode(EC.SMC << 26)) == "SMCCC: function identifier in w0"
    assert convention(ARM, ARM.exceptions.decode(EC.BRK << 26 | 0x3E8)) == "GCC: __builtin_trap"
