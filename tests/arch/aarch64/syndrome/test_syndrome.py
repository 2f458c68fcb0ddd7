from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbtools.arch.aarch64.syndrome import EC, DataAbort, InstructionAbort, decode, status
from gdbtools.arch.model import AccessKind, AddressMeaning, Fault, FaultKind, Return, Transfer

DATA_SAME, DATA_LOWER, FETCH_SAME, FETCH_LOWER = 0b100101 << 26, 0b100100 << 26, 0b100001 << 26, 0b100000 << 26


def test_osvs_crash_is_cache_maintenance_and_not_a_write() -> None:
    syndrome = decode(0x9600014B)
    assert syndrome.fault == Fault(FaultKind.ACCESS_FLAG, 1, 3)
    assert syndrome.access_kind is AccessKind.MAINTENANCE
    assert DataAbort(syndrome.word).WnR == 1


# DDI 0487, "Data fault status code": a sample that arithmetic on the level would get wrong is among them.
@pytest.mark.parametrize(
    ("code", "kind", "level"),
    [
        (0b000000, FaultKind.ADDRESS_SIZE, 0),
        (0b000111, FaultKind.TRANSLATION, 3),
        (0b001000, FaultKind.ACCESS_FLAG, 0),
        (0b001101, FaultKind.PERMISSION, 1),
        (0b010000, FaultKind.EXTERNAL_ABORT, None),
        (0b010001, FaultKind.TAG_CHECK, None),
        (0b010011, FaultKind.EXTERNAL_ABORT, -1),
        (0b010111, FaultKind.EXTERNAL_ABORT, 3),
        (0b100001, FaultKind.ALIGNMENT, None),
        (0b101001, FaultKind.ADDRESS_SIZE, -1),
        (0b101011, FaultKind.TRANSLATION, -1),
        (0b110000, FaultKind.TLB_CONFLICT, None),
    ],
)
def test_fault_status_codes_are_the_manuals(code: int, kind: FaultKind, level: int | None) -> None:
    assert decode(DATA_SAME | code).fault == Fault(kind, 1, level)
    # A fetch has neither tags nor alignment to check: these codes are reserved in IFSC.
    data_only = kind in (FaultKind.TAG_CHECK, FaultKind.ALIGNMENT)
    assert decode(FETCH_LOWER | code).fault == (None if data_only else Fault(kind, 1, level))
    assert status(Fault(kind, 1, level)) == code


def test_the_four_abort_classes_say_who_wanted_what() -> None:
    assert decode(DATA_SAME | 1 << 6).access_kind is AccessKind.WRITE
    assert decode(DATA_LOWER).access_kind is AccessKind.READ
    assert decode(FETCH_SAME).access_kind is AccessKind.EXECUTE
    assert [decode(ec).from_lower for ec in (DATA_SAME, DATA_LOWER, FETCH_SAME, FETCH_LOWER)] == [False, True] * 2


def test_far_is_invalid_only_where_fnv_means_something() -> None:
    external, translation = 0b010000, 0b000111
    assert not decode(DATA_SAME | 1 << 10 | external).address_valid
    assert decode(DATA_SAME | 1 << 10 | translation).address_valid
    assert not decode(FETCH_SAME | 1 << 10 | external).address_valid


def test_a_stage_2_fault_on_a_stage_1_walk_is_of_stage_2() -> None:
    syndrome = decode(DATA_LOWER | 1 << 7 | 0b000110)
    assert syndrome.fault == Fault(FaultKind.TRANSLATION, 2, 2, s1ptw=True)
    assert syndrome.s1ptw


def test_without_isv_the_register_fields_do_not_apply() -> None:
    without, with_isv = decode(DATA_SAME | 3 << 22), decode(DATA_SAME | 1 << 24 | 3 << 22)
    assert "SAS" not in {field.name for field in type(without.word).fields()}
    assert without.word.reserved == 3 << 22
    assert with_isv.transfer == Transfer(8, "W0", signed=False, ordered=False)


def test_classes_that_are_not_aborts_have_a_name_and_no_fault() -> None:
    assert decode(0x56000000).name == "SVC"
    assert decode(0x56000000).fault is None
    assert "reserved" in decode(0x3F << 26).name


@given(st.integers(0, (1 << 64) - 1))
def test_no_value_is_refused_and_every_bit_is_told_once(value: int) -> None:
    word = decode(value).word
    told = word.reserved
    for each in word.decoded():
        assert told & each.field.mask == 0
        told |= each.field.into(0, each.value)
    assert told == value


@given(st.integers(0, (1 << 26) - 1), st.sampled_from((DATA_SAME, DATA_LOWER, FETCH_SAME, FETCH_LOWER)))
def test_an_abort_always_has_its_own_layout(iss: int, exception_class: int) -> None:
    word = decode(exception_class | iss).word
    assert isinstance(word, DataAbort if exception_class in (DATA_SAME, DATA_LOWER) else InstructionAbort)


# --- Every other class: (EC, ISS, what the instruction was), by the manual's figures

INSTRUCTIONS = [
    (EC.WF, 0b00, "WFI"),
    (EC.WF, 0b01, "WFE"),
    (EC.WF, 7 << 5 | 1 << 2 | 0b10, "WFIT X7"),
    (EC.WF, 31 << 5 | 1 << 2 | 0b11, "WFET XZR"),
    (EC.CP15_MCR_MRC, 2 << 17 | 0 << 14 | 7 << 10 | 3 << 5 | 14 << 1, "MCR p15, 0, R3, c7, c14, 2"),
    (EC.CP14_MCR_MRC, 0 << 17 | 0 << 14 | 0 << 10 | 1 << 5 | 1 << 1 | 1, "MRC p14, 0, R1, c0, c1, 0"),
    (EC.VMRS, 7 << 14 | 7 << 10 | 4 << 5 | 1, "VMRS R4, MVFR0"),
    (EC.CP15_MCRR_MRRC, 0 << 16 | 1 << 10 | 0 << 5 | 2 << 1 | 1, "MRRC p15, 0, R0, R1, c2"),
    (EC.CP14_MRRC, 0 << 16 | 3 << 10 | 2 << 5 | 1 << 1 | 1, "MRRC p14, 0, R2, R3, c1"),
    (EC.LDC_STC, 2 << 12 | 6 << 5 | 1 << 4 | 0b010 << 1 | 1, "LDC p14, c5, [R6, #8]"),
    (EC.LDC_STC, 1 << 12 | 6 << 5 | 0 << 4 | 0b001 << 1 | 0, "STC p14, c5, [R6], #-4"),
    (EC.LDC_STC, 1 << 12 | 6 << 5 | 1 << 4 | 0b110 << 1 | 1, "LDC p14, c5, [PC, #4]"),
    (EC.OTHER_INSTRUCTION, 1, "ST64BV0"),
    (EC.SVC_AARCH32, 0x42, "SVC #0x42"),
    (EC.HVC_AARCH32, 0x42, "HVC #0x42"),
    (EC.SMC_AARCH32, 0, "SMC"),
    (EC.SVC, 0xFFFF, "SVC #0xffff"),
    (EC.HVC, 0xEA1, "HVC #0xea1"),
    (EC.SMC, 0, "SMC #0x0"),
    (EC.SYSTEM, 1 << 20 | 2 << 17 | 0 << 14 | 7 << 10 | 3 << 5 | 14 << 1, "DC CISW, X3"),
    (EC.SYSTEM, 3 << 20 | 0 << 17 | 0 << 14 | 1 << 10 | 0 << 5 | 0 << 1, "MSR SCTLR_EL1, X0"),
    (EC.SYSTEM, 1 << 20 | 1 << 17 | 0 << 14 | 8 << 10 | 5 << 5 | 3 << 1, "TLBI VAE1IS, X5"),
    (EC.SYSTEM, 3 << 20 | 1 << 17 | 0 << 14 | 0 << 10 | 1 << 5 | 7 << 1 | 1, "MRS X1, ID_AA64MMFR1_EL1"),
    (EC.SYSTEM, 3 << 20 | 2 << 17 | 4 << 14 | 1 << 10 | 9 << 5 | 0 << 1 | 1, "MRS X9, S3_4_C1_C0_2"),
    (EC.SYSTEM_128, 3 << 20 | 0 << 17 | 0 << 14 | 2 << 10 | 1 << 6 | 0 << 1 | 1, "MRRS X2, X3, TTBR0_EL1"),
    (EC.ERET, 0b00, "ERET"),
    (EC.ERET, 0b10, "ERETAA"),
    (EC.ERET, 0b11, "ERETAB"),
    (EC.TSTART, 4 << 5, "TSTART X4"),
    (EC.MEMORY_OPERATION, 0b1101 << 19 | 1 << 10 | 2 << 5 | 3, "CPY[F]MWTN [X1]!, [X2]!, X3!"),
    (EC.MEMORY_OPERATION, 1 << 24 | 1 << 18 | 1 << 19 | 1 << 10 | 2 << 5 | 3, "SETET [X1]!, X3!, X2"),
    (EC.MEMORY_OPERATION, 1 << 24 | 1 << 23 | 31 << 5, "SETGM [X0]!, X0!, XZR"),
    (EC.GUARDED_CONTROL_STACK, 30 << 5, "RET"),
    (EC.GUARDED_CONTROL_STACK, 5 << 5, "RET X5"),
    (EC.GUARDED_CONTROL_STACK, 5 << 5 | 0b01001, "GCSPOPX"),
    (EC.GUARDED_CONTROL_STACK, 2 << 20 | 31 << 10 | 3 << 5, "GCSSTR or GCSSTTR X3, [SP]"),
    (EC.BRK, 0x800, "BRK #0x800"),
    (EC.BKPT_AARCH32, 0x7, "BKPT #0x7"),
    (EC.ILLEGAL_STATE, 0, ""),
    (EC.SERROR, 0, ""),
]


@pytest.mark.parametrize(("exception_class", "iss", "instruction"), INSTRUCTIONS)
def test_a_syndrome_tells_its_instruction(exception_class: EC, iss: int, instruction: str) -> None:
    assert decode(exception_class << 26 | 1 << 25 | iss).instruction == instruction


MEANINGS = [
    (EC.BRANCH_TARGET, 0b10, "BTYPE", "BLR"),
    (EC.POINTER_AUTHENTICATION_FAILURE, 0b10, "DataKey", "data key"),
    (EC.POINTER_AUTHENTICATION_FAILURE, 0b01, "BKey", "B key"),
    (EC.SME_ACCESS, 0b011, "SMTC", "ZA is not accessible: PSTATE.ZA is 0"),
    (EC.GRANULE_PROTECTION_CHECK, 0b001101 << 14 | 0b101000, "GPCSC", "granule protection fault, level 1"),
    (EC.FLOATING_POINT, 1 << 23 | 1 << 1, "DZF", "yes"),
    (EC.SERROR, 0b010 << 10 | 0b010001, "AET", "Restartable state (UEO)"),
    (EC.SERROR, 0b010001, "DFSC", "asynchronous SError"),
    (EC.DATA_ABORT_SAME_EL, 0b10 << 11 | 0b010000, "SET", "Uncontainable (UC)"),
    (EC.DATA_ABORT_SAME_EL, 0b10 << 11 | 0b001111, "LST", "LD64B or ST64B"),
    (EC.PROFILING, 2 << 1 | 1, "SYNC", "yes"),
    (EC.WATCHPOINT_LOWER_EL, 0b100010, "DFSC", "debug exception"),
    (EC.SMC_AARCH32, 1 << 19 | 1 << 24, "CV", "yes"),
    (EC.SMC_AARCH32, 1 << 19, "CCKNOWNPASS", "conditional, and may have failed"),
    (EC.WF, 1 << 24 | 0b1110 << 20, "COND", "AL"),
]


@pytest.mark.parametrize(("exception_class", "iss", "name", "meaning"), MEANINGS)
def test_a_field_of_a_class_means(exception_class: EC, iss: int, name: str, meaning: str) -> None:
    word = decode(exception_class << 26 | iss).word
    field = type(word).field(name)
    assert word.applies(field)
    assert field.meaning(field.of(word)) == meaning


NOT_APPLICABLE_HERE = [
    (EC.WF, 7 << 5, "RN", "RV"),
    (EC.WF, 0b1110 << 20, "COND", "CV"),
    (EC.LDC_STC, 6 << 5 | 0b110 << 1, "Rn", "literal form"),
    (EC.SMC_AARCH32, 1 << 24, "CV", "CCKNOWNPASS"),
    (EC.ERET, 0b01, "ERETA", "ERET"),
    (EC.GUARDED_CONTROL_STACK, 7 << 5 | 0b00101, "Rn", "GCSSS2"),
    (EC.FLOATING_POINT, 1 << 1, "DZF", "TFV"),
    (EC.FLOATING_POINT, 1 << 23 | 7 << 8, "VECITR", "AArch32 alone"),
    (EC.SERROR, 0b010 << 10, "AET", "DFSC"),
    (EC.SERROR, 1 << 6 | 0b010001, "WnR", "WnRV"),
    (EC.SOFTWARE_STEP_SAME_EL, 1 << 6 | 0b100010, "EX", "ISV"),
    (EC.WATCHPOINT_SAME_EL, 3 << 18 | 0b100010, "WPT", "WPTV"),
    (EC.GRANULE_PROTECTION_CHECK, 1 << 20 | 1 << 6, "WnR", "InD"),
    (EC.DATA_ABORT_SAME_EL, 1 << 9 | 0b000111, "EA", "an External abort"),
    (EC.DATA_ABORT_SAME_EL, 1 << 6 | 0b110101, "WnR", "UNKNOWN for unsupported Exclusive or Atomic accesses"),
    (EC.DATA_ABORT_SAME_EL, 1 << 37 | 0b000111, "DirtyBit", "a permission fault"),
    (EC.DATA_ABORT_SAME_EL, 1 << 32 | 0b10 << 11 | 0b000111, "Xs", "ST64BV or ST64BV0"),
    (EC.INSTRUCTION_ABORT_LOWER_EL, 1 << 21 | 0b000111, "TopLevel", "a permission fault"),
    (EC.INSTRUCTION_ABORT_LOWER_EL, 1 << 10 | 0b000111, "FnV", "an External abort"),
]


@pytest.mark.parametrize(("exception_class", "iss", "name", "needs"), NOT_APPLICABLE_HERE)
def test_a_field_without_what_it_needs_does_not_apply(exception_class: EC, iss: int, name: str, needs: str) -> None:
    word = decode(exception_class << 26 | iss).word
    shown = next(each for each in word.decoded() if each.field.name == name)
    assert not shown.applicable, f"it needs {needs}"
    assert shown.meaning == "not applicable"


def test_what_far_holds_follows_from_the_class_and_from_fnv() -> None:
    held = {
        EC.DATA_ABORT_SAME_EL: AddressMeaning.ACCESSED,
        EC.INSTRUCTION_ABORT_LOWER_EL: AddressMeaning.FETCHED,
        EC.PC_ALIGNMENT: AddressMeaning.MISALIGNED_PC,
        EC.WATCHPOINT_LOWER_EL: AddressMeaning.WATCHED,
        EC.GRANULE_PROTECTION_CHECK: AddressMeaning.ACCESSED,
    }
    for exception_class in EC:
        held.setdefault(exception_class, AddressMeaning.UNKNOWN)
    held |= dict.fromkeys((EC.DATA_ABORT_LOWER_EL,), AddressMeaning.ACCESSED)
    held |= dict.fromkeys((EC.INSTRUCTION_ABORT_SAME_EL,), AddressMeaning.FETCHED)
    held |= dict.fromkeys((EC.WATCHPOINT_SAME_EL,), AddressMeaning.WATCHED)
    assert {exception_class: decode(exception_class << 26).address for exception_class in EC} == held
    assert decode(EC.WATCHPOINT_SAME_EL << 26 | 1 << 10).address is AddressMeaning.INVALID
    assert decode(EC.WATCHPOINT_SAME_EL << 26 | 1 << 15).address is AddressMeaning.IMPRECISE
    assert decode(EC.DATA_ABORT_SAME_EL << 26 | 1 << 15 | 0b000111).address is AddressMeaning.IMPRECISE
    assert decode(EC.GRANULE_PROTECTION_CHECK << 26 | 1 << 20).address is AddressMeaning.FETCHED


def test_hpfar_holds_the_ipa_for_what_stage_2_did_not_translate_and_for_table_walks() -> None:
    """Not for a plain permission fault of stage 2: the walk had ended, and found an output address."""
    said = {code: decode(DATA_LOWER | code).ipa_valid for code in (0b000111, 0b001011, 0b000000, 0b001111, 0b010000)}
    assert said == {0b000111: True, 0b001011: True, 0b000000: True, 0b001111: False, 0b010000: False}
    assert decode(DATA_LOWER | 1 << 7 | 0b001111).ipa_valid
    # On a walk, too, memory's abort is not stage 2's, and a TLB that contradicts itself has no address.
    assert not any(decode(DATA_LOWER | 1 << 7 | code).ipa_valid for code in (0b010110, 0b110000))


def test_elr_leads_to_the_instruction_itself_but_for_calls_and_what_interrupts() -> None:
    odd = {
        EC.SVC: Return.NEXT_UNLESS_TRAPPED, EC.SVC_AARCH32: Return.NEXT_UNLESS_TRAPPED,
        EC.SMC: Return.NEXT_UNLESS_TRAPPED, EC.SMC_AARCH32: Return.NEXT_UNLESS_TRAPPED,
        EC.HVC: Return.NEXT_INSTRUCTION, EC.HVC_AARCH32: Return.NEXT_INSTRUCTION,
        EC.SERROR: Return.INTERRUPTED, EC.PROFILING: Return.INTERRUPTED,
        EC.SOFTWARE_STEP_LOWER_EL: Return.INTERRUPTED, EC.SOFTWARE_STEP_SAME_EL: Return.INTERRUPTED,
    }  # fmt: skip
    for exception_class in EC:
        assert decode(exception_class << 26).returns is odd.get(exception_class, Return.THIS_INSTRUCTION)
    assert decode(0x3F << 26).returns is Return.UNKNOWN


def test_set_way_maintenance_says_why_it_cannot_be_virtualised_and_other_maintenance_does_not() -> None:
    by_set_way = [decode(EC.SYSTEM << 26 | 1 << 20 | 2 << 17 | 7 << 10 | crm << 1) for crm in (6, 10, 14)]
    assert [each.target for each in by_set_way] == ["DC ISW", "DC CSW", "DC CISW"]
    assert all("HCR_EL2.TSW" in "".join(each.notes) for each in by_set_way)
    in_aarch32 = decode(EC.CP15_MCR_MRC << 26 | 2 << 17 | 7 << 10 | 14 << 1)
    assert (in_aarch32.target, in_aarch32.notes) == ("DCCISW", by_set_way[0].notes)
    assert not decode(EC.SYSTEM << 26 | 1 << 20 | 3 << 14 | 1 << 17 | 7 << 10 | 14 << 1).notes, "DC CIVAC"


def test_the_wnr_of_an_atomic_that_memory_does_not_support_is_not_believed() -> None:
    assert decode(DATA_SAME | 1 << 6 | 0b110101).access_kind is None
    assert decode(DATA_SAME | 1 << 6 | 0b110001).access_kind is None
    assert decode(DATA_SAME | 1 << 6 | 0b001111).access_kind is AccessKind.WRITE
