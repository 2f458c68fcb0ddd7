"""Whether the exception registers are of one exception, and what is said of them where they are not."""

from __future__ import annotations

import pytest

from gdbtools.analysis.faults.belonging import BelongingEvidence
from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.model import FaultKind
from gdbtools.commands.fault.verdict import sentence
from gdbtools.errors import Refused
from gdbtools.repair.access_flag import plan
from tests.tables import EL1H, Tables, reader

EL0T, EL2H = 0, 0b1001
VBAR = 0x8000_0000
VA, CODE, CODE_PA = 0x1234_5000, 0x40_0000, 0x4200_0000
SVC, DATA_SAME, FETCH_SAME = 0x5600_0000, 0x9600_0000, 0x8600_0000
ACCESS_FLAG_3 = 0b001011
LDR_X0_X1, STR_X0_X1, SVC_0 = 0xF940_0020, 0xF900_0020, 0xD400_0001


def found(esr: int, instruction: int | None, **changes: int) -> Diagnosis:
    """Diagnose an exception at no vector entry, `instruction` being what the tables lead to at CODE."""
    t = Tables()
    t.map(VA, 0x4300_0000, AF=0)
    if instruction is not None:
        t.map(CODE, CODE_PA, level=3)
        t.write(CODE_PA, instruction.to_bytes(8, "little"))
    values = {"pc": 0x5000, "ESR_EL1": esr, "FAR_EL1": VA, "ELR_EL1": CODE, **changes}
    return diagnose(ARM, reader(t.registers(**values)), t.read)


def headline(diagnosis: Diagnosis) -> str:
    return "".join(each if isinstance(each, str) else each.text for each in sentence(diagnosis, ARM))


@pytest.mark.parametrize("quarter", [0x000, 0x200, 0x400, 0x600])
@pytest.mark.parametrize(("offset", "kind"), [(0x80, "IRQ"), (0x100, "FIQ")])
def test_at_an_interrupts_entry_the_answer_says_interrupt_and_joins_nothing(
    quarter: int, offset: int, kind: str
) -> None:
    state = EL0T if quarter >= 0x400 else EL1H
    diagnosis = found(SVC, LDR_X0_X1, pc=VBAR + quarter + offset, SPSR_EL1=state)
    assert (diagnosis.verdict, diagnosis.belongs.evidence) == (Verdict.INTERRUPT, BelongingEvidence.INTERRUPT)
    assert not diagnosis.entry, "the registers are not of what was taken there"
    assert headline(diagnosis) == (
        f"interrupt: {kind} taken from EL{0 if quarter >= 0x400 else 1}, before {CODE:#x}; it has no syndrome."
    )


def test_an_serror_has_a_syndrome() -> None:
    diagnosis = found(0xBE00_0011, None, pc=VBAR + 0x380)
    assert (diagnosis.verdict, diagnosis.entry) == (Verdict.NOT_THE_TABLES, "current EL, SP_ELx, SError")
    assert headline(diagnosis) == "EL1 SError: not a matter of the translation tables."


def test_a_syndrome_that_the_instruction_at_elr_cannot_have_raised_is_of_another_exception() -> None:
    diagnosis = found(SVC, LDR_X0_X1, ELR_EL1=CODE + 4, SPSR_EL1=EL0T)
    assert diagnosis.verdict is Verdict.NOT_ONE_EXCEPTION
    assert headline(diagnosis) == (
        "last exception: SVC #0x0, but ELR_EL1 and SPSR_EL1 are not of it: "
        f"at {CODE:#x}, before ELR_EL1, is LDR X0, [X1], no SVC #0x0."
    )


def test_where_the_address_of_an_older_fault_leads_is_shown_and_no_access_replayed() -> None:
    diagnosis = found(DATA_SAME | ACCESS_FLAG_3, STR_X0_X1)
    assert (diagnosis.verdict, diagnosis.access) == (Verdict.NOT_ONE_EXCEPTION, None)
    assert diagnosis.walk is not None
    assert diagnosis.walk.input == VA
    assert diagnosis.predicted is not None
    assert diagnosis.predicted.fault.kind is FaultKind.ACCESS_FLAG
    assert headline(diagnosis).startswith(f"last exception: read of {VA:#x}: access flag fault, level 3, but ELR_EL1")


def test_what_fits_is_the_last_exception_and_what_cannot_be_read_is_not_shown() -> None:
    fits = found(SVC, SVC_0, ELR_EL1=CODE + 4, SPSR_EL1=EL0T)
    assert (fits.belongs.evidence, fits.verdict) == (BelongingEvidence.FITS, Verdict.NOT_THE_TABLES)
    unknown = found(SVC, None, ELR_EL1=CODE + 4, SPSR_EL1=EL0T)
    assert unknown.belongs.evidence is BelongingEvidence.NOT_SHOWN
    for each in (fits, unknown):
        assert headline(each).startswith("last exception: EL0 SVC #0x0")


def test_a_fetch_needs_no_instruction_to_be_where_elr_is() -> None:
    assert found(FETCH_SAME | ACCESS_FLAG_3, None, ELR_EL1=VA).belongs.evidence is BelongingEvidence.FITS
    assert found(FETCH_SAME | ACCESS_FLAG_3, None).belongs.evidence is BelongingEvidence.CONTRADICTS


def test_code_whose_access_flag_was_cleared_since_is_looked_at_all_the_same() -> None:
    t = Tables()
    t.map(VA, 0x4300_0000, AF=0)
    t.map(CODE, CODE_PA, AF=0)
    t.write(CODE_PA, LDR_X0_X1.to_bytes(8, "little"))
    values = t.registers(pc=0x5000, ESR_EL1=DATA_SAME | ACCESS_FLAG_3, FAR_EL1=VA, ELR_EL1=CODE)
    assert diagnose(ARM, reader(values), t.read).belongs.evidence is BelongingEvidence.FITS


def test_a_stale_syndrome_repairs_nothing() -> None:
    with pytest.raises(Refused, match="not of one exception: at ELR_EL1 0x400000 is STR X0"):
        plan(found(DATA_SAME | ACCESS_FLAG_3, STR_X0_X1), ARM, DirtyConvention.NONE, Tables())
    with pytest.raises(Refused, match="an IRQ was taken, and ESR_EL1 is of an older exception"):
        plan(found(DATA_SAME | ACCESS_FLAG_3, LDR_X0_X1, pc=VBAR + 0x280), ARM, DirtyConvention.NONE, Tables())
    assert plan(found(DATA_SAME | ACCESS_FLAG_3, LDR_X0_X1), ARM, DirtyConvention.NONE, Tables()).level.number == 3


AT_ENTRY = {"pc": VBAR + 0x200, "SPSR_EL1": EL1H}


def test_at_an_entry_an_instruction_that_leads_elsewhere_is_not_of_the_address() -> None:
    diagnosis = found(DATA_SAME | ACCESS_FLAG_3, LDR_X0_X1, **AT_ENTRY, x1=0x7000)
    assert (diagnosis.verdict, diagnosis.access) == (Verdict.NOT_ONE_EXCEPTION, None)
    assert diagnosis.belongs.reason == f"LDR X0, [X1] at ELR_EL1 {CODE:#x} accesses 0x7000, not FAR_EL1's"
    with pytest.raises(Refused, match="accesses 0x7000, not FAR_EL1's"):
        plan(diagnosis, ARM, DirtyConvention.NONE, Tables())
    for own in ({"x1": VA}, {"x1": VA | 0xAB << 56}, {}):
        same = found(DATA_SAME | ACCESS_FLAG_3, LDR_X0_X1, **AT_ENTRY, **own)
        assert same.verdict is Verdict.TABLES_AGREE
        assert same.belongs.evidence is BelongingEvidence.AT_ENTRY


def test_a_register_that_the_way_in_has_used_speaks_against_nothing() -> None:
    """Linux's trampoline branches to the kernel's own entry by x30."""
    by_x30 = 0xF940_0000 | 30 << 5
    assert found(DATA_SAME | ACCESS_FLAG_3, by_x30, **AT_ENTRY, x30=0x7000).verdict is Verdict.TABLES_AGREE
    by_x29 = 0xF940_0000 | 29 << 5
    assert found(DATA_SAME | ACCESS_FLAG_3, by_x29, **AT_ENTRY, x29=0x7000).verdict is Verdict.NOT_ONE_EXCEPTION


def test_past_the_entry_registers_that_lead_elsewhere_leave_a_doubt_and_never_fit() -> None:
    later = found(DATA_SAME | ACCESS_FLAG_3, LDR_X0_X1, x1=0x7000)
    assert later.belongs.evidence is BelongingEvidence.NOT_SHOWN
    assert later.belongs.reason.endswith("accesses 0x7000, not FAR_EL1's, as the registers are now")
    assert later.verdict is Verdict.TABLES_AGREE, "the handler has used its registers"
    assert found(DATA_SAME | ACCESS_FLAG_3, LDR_X0_X1, x1=VA).belongs.evidence is BelongingEvidence.FITS
