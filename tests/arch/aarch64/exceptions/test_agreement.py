"""Whether a syndrome fits the registers and the instruction beside it, class by class.

Instructions are assembled, so that none is written down twice; tests/guests/test_syndromes.py asks the same of
everything that QEMU raises.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import pytest

from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from gdbtools.arch.aarch64.exceptions.agreement import RULES
from gdbtools.arch.aarch64.exceptions.execution_state import AARCH32_ONLY, AARCH64_ONLY
from gdbtools.arch.aarch64.syndrome import EC
from gdbtools.arch.model import Agreement, Fit
from tests.guests.assembly import ASSEMBLER, assemble
from tests.tables import reader

EL0T, EL1H, EL2H, AARCH32_USER = 0b0000, 0b0101, 0b1001, 0b10000
WNR, CM, ISV, SF = 1 << 6, 1 << 8, 1 << 24, 1 << 15
TRANSLATION = 0b000111
ELR, FAR = 0x40_1000, 0x7000_0010
WORD_8, SRT = 0b11 << 22, 16
SCTLR_READ = 0b11 << 20 | 1 << 10 | 3 << 5 | 1
"""MRS X3, SCTLR_EL1: Op0 3, CRn 1, Rt 3, Direction read."""
DC_CISW = 1 << 20 | 2 << 17 | 7 << 10 | 5 << 5 | 14 << 1

pytestmark = pytest.mark.skipif(
    shutil.which(ASSEMBLER) is None, reason=f"{ASSEMBLER} is not installed: apt-get install binutils-aarch64-linux-gnu"
)


def asked(ec: int, iss: int, source: str, at: int = 1, came: int = EL1H, **registers: int) -> Agreement:
    """Ask of an exception whose ELR is at `source`, or with "+" before it behind it."""
    (code,) = assemble([source])
    level = {1: EL1H, 2: EL2H}[at]
    values = {
        "cpsr": level, f"ESR_EL{at}": ec << 26 | 1 << 25 | iss, f"SPSR_EL{at}": came, f"ELR_EL{at}": ELR,
        f"FAR_EL{at}": FAR, "pc": 0x9000, "HCR_EL2": 1 << 31, "ID_AA64PFR0_EL1": 0x1111, "SCR_EL3": 1 | 1 << 10,
        **registers,
    }  # fmt: skip
    read = reader(values)
    return ARM.exceptions.fits(ARM.exceptions.record(read), code.words[0], read)


OF_CLASS: Sequence[tuple[EC, int, str, str]] = (
    (EC.WF, 0, "wfi", "wfe"),
    (EC.WF, 1, "wfe", "wfi"),
    (EC.FLOATING_POINT_ACCESS, 0, "fadd d0, d1, d2", "ldr x0, [x1]"),
    (EC.FLOATING_POINT_ACCESS, 0, "ldr d0, [x1]", "add x0, x0, #1"),
    (EC.SVC, 0x15, "svc #0x15", "svc #0"),
    (EC.SVC, 0, "svc #0", "ldr x0, [x1]"),
    (EC.HVC, 1, "hvc #1", "smc #1"),
    (EC.SMC, 2, "smc #2", "hvc #2"),
    (EC.BRK, 0x800, "brk #0x800", "brk #0x801"),
    (EC.SYSTEM, SCTLR_READ, "mrs x3, sctlr_el1", "msr sctlr_el1, x3"),
    (EC.SYSTEM, SCTLR_READ, "mrs x3, sctlr_el1", "mrs x4, sctlr_el1"),
    (EC.SYSTEM, DC_CISW, "dc cisw, x5", "dc csw, x5"),
    (EC.ERET, 0, "eret", "ret"),
    (EC.POINTER_AUTHENTICATION, 0, "paciasp", "bl ."),
    (EC.SVE_ACCESS, 0, "ptrue p0.b", "fadd d0, d1, d2"),
    (EC.SP_ALIGNMENT, 0, "ldr x0, [sp]", "ldr x0, [x1]"),
    (EC.UNKNOWN, 0, ".inst 0", "ldr x0, [x1]"),
    (EC.DATA_ABORT_SAME_EL, TRANSLATION, "ldr x0, [x1]", "str x0, [x1]"),
    (EC.DATA_ABORT_SAME_EL, TRANSLATION | WNR, "stp x0, x1, [x2]", "ldp x0, x1, [x2]"),
    (EC.DATA_ABORT_SAME_EL, TRANSLATION | WNR, "dc zva, x0", "dc civac, x0"),
    (EC.DATA_ABORT_SAME_EL, TRANSLATION | WNR | CM, "dc civac, x0", "str x0, [x1]"),
    (EC.DATA_ABORT_SAME_EL, TRANSLATION, "ldadd x0, x1, [x2]", "svc #0"),
    (EC.DATA_ABORT_SAME_EL, TRANSLATION | WNR, "ldadd x0, x1, [x2]", "prfm pldl1keep, [x0]"),
    (EC.WATCHPOINT_SAME_EL, WNR, "str x0, [x1]", "ldr x0, [x1]"),
)


@pytest.mark.parametrize(("ec", "iss", "own", "other"), OF_CLASS)
def test_a_syndrome_fits_its_own_instruction_and_not_another(ec: EC, iss: int, own: str, other: str) -> None:
    found = asked(ec, iss, own)
    assert found.fit is Fit.FITS
    assert not found.reason.endswith(","), "a sentence goes on after it"
    assert asked(ec, iss, other).fit is Fit.CONTRADICTS


def test_every_class_has_a_rule_or_says_nothing_of_an_instruction() -> None:
    fetched = {EC.INSTRUCTION_ABORT_LOWER_EL, EC.INSTRUCTION_ABORT_SAME_EL, EC.PC_ALIGNMENT}
    asynchronous = {EC.SERROR, EC.PROFILING, EC.IMPLEMENTATION_DEFINED_EL3}
    of_any = {
        EC.BRANCH_TARGET, EC.ILLEGAL_STATE, EC.BREAKPOINT_LOWER_EL, EC.BREAKPOINT_SAME_EL, EC.SOFTWARE_STEP_LOWER_EL,
        EC.SOFTWARE_STEP_SAME_EL,
    }  # fmt: skip
    parts = [set(RULES), set(AARCH32_ONLY), fetched, asynchronous, of_any]
    assert set().union(*parts) == set(EC)
    assert sum(map(len, parts)) == len(EC)
    assert not AARCH64_ONLY & AARCH32_ONLY


@pytest.mark.parametrize(
    ("size", "register", "fits"), [(WORD_8, 2, True), (WORD_8, 3, False), (0b10 << 22, 2, False)], ids=str
)
def test_size_and_register_of_a_valid_instruction_syndrome_are_those_of_the_instruction(
    size: int, register: int, fits: bool
) -> None:
    iss = TRANSLATION | ISV | SF | size | register << SRT
    found = asked(EC.DATA_ABORT_LOWER_EL, iss, "ldr x2, [x1]", at=2)
    assert found.fit is (Fit.FITS if fits else Fit.CONTRADICTS)
    if not fits:
        assert "LDR X2, [X1], no load of" in found.reason


def test_the_base_register_leads_to_far_where_it_is_still_that_of_the_instruction() -> None:
    read = EC.DATA_ABORT_SAME_EL, TRANSLATION
    assert asked(*read, "ldr x0, [x1, #16]", x1=FAR - 16).fit is Fit.FITS
    assert asked(*read, "ldr x0, [x1, #16]", x1=FAR - 16 | 0xAB << 56).fit is Fit.FITS, "a tag leads nowhere else"
    assert asked(*read, "ldp x0, x1, [x2]", x2=FAR - 8).fit is Fit.FITS, "the second of two"
    assert asked(*read, "ldr x0, [x1], #16", x1=FAR).fit is Fit.FITS
    assert asked(*read, "ldraa x0, [x1]", x1=0).fit is Fit.FITS, "what its base is signed with is not told"
    found = asked(*read, "ldr x0, [x1, #16]", x1=0x8000)
    assert (found.fit, found.reason) == (
        Fit.CONTRADICTS, f"LDR X0, [X1, #16] at ELR_EL1 {ELR:#x} accesses 0x8010, not FAR_EL1's"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "x1", "x2"),
    [
        ("ldr x0, [x1, x2]", FAR + 1, -1),
        ("ldr x0, [x1, x2, lsl #3]", FAR - 24, 3),
        ("ldr w0, [x1, w2, uxtw]", FAR - 0xFFFF_FFFF, 0xAB_FFFF_FFFF),
        ("ldr x0, [x1, w2, sxtw #3]", FAR + 8, 0xFFFF_FFFF),
        ("ldr x0, [x1, x2, sxtx]", FAR + 5, -5),
        ("ldr q0, [x1, x2, lsl #4]", FAR - 16, 1),
        ("ldr x0, [x1, xzr]", FAR, 0x1234),
    ],
)
def test_an_index_is_extended_and_shifted_before_it_is_added(source: str, x1: int, x2: int) -> None:
    read, last = (EC.DATA_ABORT_SAME_EL, TRANSLATION), (1 << 64) - 1
    assert asked(*read, source, x1=x1, x2=x2 & last).fit is Fit.FITS
    assert asked(*read, source, x1=x1 + 0x1000, x2=x2 & last).fit is Fit.CONTRADICTS


ACCESSES = (
    ("ldr x0, [x1, #-8]!", 8, 8), ("ldr x0, [x1], #8", 0, 8), ("ldp x3, x4, [x1, #-16]!", 16, 16),
    ("ldp q3, q4, [x1], #32", 0, 32), ("ldxr x0, [x1]", 0, 8), ("ldaxp x3, x4, [x1]", 0, 16),
    ("ldadd x3, x4, [x1]", 0, 8), ("ldur x0, [x1, #-3]", 3, 8), ("ld4 {v0.2d-v3.2d}, [x1]", 0, 64),
    ("ldtr x0, [x1, #4]", -4, 8), ("ldrb w0, [x1]", 0, 1),
)  # fmt: skip


@pytest.mark.parametrize(("source", "before", "size"), ACCESSES)
def test_far_is_any_address_within_the_access_and_none_beside_it(source: str, before: int, size: int) -> None:
    read = EC.DATA_ABORT_SAME_EL, TRANSLATION
    for offset, fit in ((0, Fit.FITS), (size - 1, Fit.FITS), (size, Fit.CONTRADICTS), (-1, Fit.CONTRADICTS)):
        assert asked(*read, source, x1=FAR - offset + before).fit is fit, offset


def test_the_zeroed_or_maintained_block_is_all_around_its_address() -> None:
    for source, iss in (("dc zva, x1", WNR), ("dc civac, x1", WNR | CM)):
        for offset in (-0x3F, 0, 0x3F):
            found = asked(EC.DATA_ABORT_SAME_EL, TRANSLATION | iss, source, x1=FAR + offset)
            assert found.fit is Fit.FITS


def test_the_stack_pointer_is_that_of_the_level_that_was_interrupted() -> None:
    user = {"at": 1, "came": EL0T}
    lower = EC.DATA_ABORT_LOWER_EL, TRANSLATION, "ldr x0, [sp, #16]"
    assert asked(*lower, **user, sp=0x9000).fit is Fit.FITS, "EL1's own, and EL0's is not known"
    assert asked(*lower, **user, sp=0x9000, SP_EL0=FAR - 16).fit is Fit.FITS
    assert asked(*lower, **user, sp=FAR - 16, SP_EL0=0x9000).fit is Fit.CONTRADICTS
    same = EC.DATA_ABORT_SAME_EL, TRANSLATION, "ldr x0, [sp, #16]"
    assert asked(*same, sp=FAR - 16).fit is Fit.FITS
    assert asked(*same, sp=0x9000).fit is Fit.CONTRADICTS


def test_of_an_address_that_is_not_valid_or_a_watchpoints_nothing_is_said() -> None:
    not_valid = TRANSLATION & ~0b111 | 0b010000 & ~0b001000 | 1 << 10
    assert asked(EC.DATA_ABORT_SAME_EL, not_valid, "ldr x0, [x1]", x1=0x8000).fit is Fit.FITS
    assert asked(EC.WATCHPOINT_SAME_EL, 0, "ldr x0, [x1]", x1=0x8000).fit is Fit.FITS


def test_a_fetch_is_where_elr_is() -> None:
    for ec in (EC.INSTRUCTION_ABORT_SAME_EL,):
        assert asked(ec, TRANSLATION, "nop", FAR_EL1=ELR).fit is Fit.FITS
        assert asked(ec, TRANSLATION, "nop", FAR_EL1=ELR | 0xAB << 56).fit is Fit.FITS
        assert asked(ec, TRANSLATION, "nop", FAR_EL1=ELR + 0x1000).fit is Fit.CONTRADICTS
    assert asked(EC.PC_ALIGNMENT, 0, "nop", ELR_EL1=0x1002, FAR_EL1=0x1002).fit is Fit.FITS
    assert asked(EC.PC_ALIGNMENT, 0, "nop", ELR_EL1=0x1002, FAR_EL1=0x2002).fit is Fit.CONTRADICTS


def test_the_level_and_the_execution_state_are_held_against_spsr() -> None:
    load = TRANSLATION, "ldr x0, [x1]"
    assert asked(EC.DATA_ABORT_LOWER_EL, *load, came=EL0T).fit is Fit.FITS
    found = asked(EC.DATA_ABORT_LOWER_EL, *load, came=EL1H)
    assert (found.fit, found.reason) == (Fit.CONTRADICTS, "SPSR_EL1 says EL1, and the class is of a lower level")
    assert asked(EC.DATA_ABORT_SAME_EL, *load, came=EL0T).fit is Fit.CONTRADICTS
    assert asked(EC.SVC, 0, "svc #0", came=AARCH32_USER).fit is Fit.CONTRADICTS
    assert asked(EC.SVC_AARCH32, 0, "svc #0", came=EL0T).fit is Fit.CONTRADICTS
    assert asked(EC.DATA_ABORT_LOWER_EL, *load, came=AARCH32_USER).fit is Fit.NOT_SHOWN
    assert asked(EC.ILLEGAL_STATE, 0, "nop", came=EL1H | 1 << 20).fit is Fit.NOT_SHOWN
    assert asked(EC.ILLEGAL_STATE, 0, "nop", came=EL1H).fit is Fit.CONTRADICTS


def test_a_call_is_before_elr_and_a_trapped_one_at_it() -> None:
    for esr, came, hcr, at in (
        (EC.SVC, EL0T, 0, ELR - 4), (EC.HVC, EL1H, 0, ELR - 4), (EC.SMC, EL1H, 1 << 19, ELR), (EC.BRK, EL1H, 0, ELR),
    ):  # fmt: skip
        level = 2 if esr in (EC.HVC, EC.SMC) else 1
        values = {
            "cpsr": EL2H if level == 2 else EL1H, f"ESR_EL{level}": esr << 26, f"SPSR_EL{level}": came, "pc": 0,
            f"ELR_EL{level}": ELR, f"FAR_EL{level}": 0, "HCR_EL2": 1 << 31 | hcr, "ID_AA64PFR0_EL1": 0x1111,
        }  # fmt: skip
        assert ARM.exceptions.raised_at(ARM.exceptions.record(reader(values))) == at


def test_what_cannot_be_read_is_not_shown() -> None:
    values = {"cpsr": EL1H, "ESR_EL1": EC.SVC << 26, "SPSR_EL1": EL0T, "ELR_EL1": ELR, "FAR_EL1": 0, "pc": 0}
    found = ARM.exceptions.fits(ARM.exceptions.record(reader(values)), None)
    assert (found.fit, found.reason) == (
        Fit.NOT_SHOWN, f"the instruction at {ELR - 4:#x}, before ELR_EL1, cannot be read"
    )  # fmt: skip
