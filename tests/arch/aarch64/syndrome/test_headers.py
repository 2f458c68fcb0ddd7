"""Every layout of ESR_ELx against Linux's own: arch/arm64/include/asm/esr.h, as Debian's newest header package has it.

Its macros are C; the few forms that define masks are evaluated here, the rest is left alone and counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from gdbtools.arch.aarch64.syndrome import EC, ESR_ELx, decode
from gdbtools.arch.aarch64.syndrome.guarded_control_stack import GCSDataCheck
from gdbtools.arch.arm.fault_status import status
from gdbtools.arch.model import Fault, FaultKind
from gdbtools.bits import Word
from gdbtools.errors import Unavailable
from tests.guests.headers import kernel_headers

PREFIX = "ESR_ELx_"
EXCEPTION_CLASSES = {
    "UNKNOWN": EC.UNKNOWN, "WFx": EC.WF, "CP15_32": EC.CP15_MCR_MRC, "CP15_64": EC.CP15_MCRR_MRRC,
    "CP14_MR": EC.CP14_MCR_MRC, "CP14_LS": EC.LDC_STC, "FP_ASIMD": EC.FLOATING_POINT_ACCESS, "CP10_ID": EC.VMRS,
    "PAC": EC.POINTER_AUTHENTICATION, "OTHER": EC.OTHER_INSTRUCTION, "CP14_64": EC.CP14_MRRC, "BTI": EC.BRANCH_TARGET,
    "ILL": EC.ILLEGAL_STATE, "SVC32": EC.SVC_AARCH32, "HVC32": EC.HVC_AARCH32, "SMC32": EC.SMC_AARCH32,
    "SVC64": EC.SVC, "HVC64": EC.HVC, "SMC64": EC.SMC, "SYS64": EC.SYSTEM, "SVE": EC.SVE_ACCESS, "ERET": EC.ERET,
    "FPAC": EC.POINTER_AUTHENTICATION_FAILURE, "SME": EC.SME_ACCESS, "IMP_DEF": EC.IMPLEMENTATION_DEFINED_EL3,
    "IABT_LOW": EC.INSTRUCTION_ABORT_LOWER_EL, "IABT_CUR": EC.INSTRUCTION_ABORT_SAME_EL, "PC_ALIGN": EC.PC_ALIGNMENT,
    "DABT_LOW": EC.DATA_ABORT_LOWER_EL, "DABT_CUR": EC.DATA_ABORT_SAME_EL, "SP_ALIGN": EC.SP_ALIGNMENT,
    "MOPS": EC.MEMORY_OPERATION, "FP_EXC32": EC.FLOATING_POINT_AARCH32, "FP_EXC64": EC.FLOATING_POINT,
    "GCS": EC.GUARDED_CONTROL_STACK, "SERROR": EC.SERROR, "BREAKPT_LOW": EC.BREAKPOINT_LOWER_EL,
    "BREAKPT_CUR": EC.BREAKPOINT_SAME_EL, "SOFTSTP_LOW": EC.SOFTWARE_STEP_LOWER_EL,
    "SOFTSTP_CUR": EC.SOFTWARE_STEP_SAME_EL, "WATCHPT_LOW": EC.WATCHPOINT_LOWER_EL,
    "WATCHPT_CUR": EC.WATCHPOINT_SAME_EL, "BKPT32": EC.BKPT_AARCH32, "VECTOR32": EC.VECTOR_CATCH_AARCH32,
    "BRK64": EC.BRK,
}  # fmt: skip
NOT_IN_LINUX = {EC.SYSTEM_128, EC.TSTART, EC.GRANULE_PROTECTION_CHECK, EC.PROFILING}
"""Classes that Linux never meets, or does not know yet."""

ISV, PERMISSION, EXTERNAL, ASYNCHRONOUS = 1 << 24, 0b001111, 0b010000, 0b010001
MASKS: Mapping[str, tuple[EC, int, str]] = {
    "EC_MASK": (EC.UNKNOWN, 0, "EC"),
    "IL": (EC.UNKNOWN, 0, "IL"),
    "WNR": (EC.DATA_ABORT_SAME_EL, 0, "WnR"),
    "IDS": (EC.SERROR, 0, "IDS"),
    "AET": (EC.SERROR, ASYNCHRONOUS, "AET"),
    "VNCR": (EC.DATA_ABORT_SAME_EL, 0, "VNCR"),
    "SET_MASK": (EC.DATA_ABORT_SAME_EL, EXTERNAL, "SET"),
    "FnV": (EC.DATA_ABORT_SAME_EL, EXTERNAL, "FnV"),
    "EA": (EC.DATA_ABORT_SAME_EL, EXTERNAL, "EA"),
    "S1PTW": (EC.DATA_ABORT_LOWER_EL, 0, "S1PTW"),
    "FSC": (EC.DATA_ABORT_LOWER_EL, 0, "DFSC"),
    "ISV": (EC.DATA_ABORT_LOWER_EL, 0, "ISV"),
    "SAS": (EC.DATA_ABORT_LOWER_EL, ISV, "SAS"),
    "SSE": (EC.DATA_ABORT_LOWER_EL, ISV, "SSE"),
    "SRT_MASK": (EC.DATA_ABORT_LOWER_EL, ISV, "SRT"),
    "SF": (EC.DATA_ABORT_LOWER_EL, ISV, "SF"),
    "AR": (EC.DATA_ABORT_LOWER_EL, ISV, "AR"),
    "CM": (EC.DATA_ABORT_LOWER_EL, 0, "CM"),
    "CV": (EC.WF, 0, "CV"),
    "COND_MASK": (EC.WF, 1 << 24, "COND"),
    "WFx_ISS_RN": (EC.WF, 1 << 2, "RN"),
    "WFx_ISS_RV": (EC.WF, 0, "RV"),
    "WFx_ISS_TI": (EC.WF, 0, "TI"),
    "xVC_IMM_MASK": (EC.HVC, 0, "imm16"),
    "BRK64_ISS_COMMENT_MASK": (EC.BRK, 0, "Comment"),
    "SYS64_ISS_DIR_MASK": (EC.SYSTEM, 0, "Direction"),
    "SYS64_ISS_RT_MASK": (EC.SYSTEM, 0, "Rt"),
    "SYS64_ISS_CRM_MASK": (EC.SYSTEM, 0, "CRm"),
    "SYS64_ISS_CRN_MASK": (EC.SYSTEM, 0, "CRn"),
    "SYS64_ISS_OP1_MASK": (EC.SYSTEM, 0, "Op1"),
    "SYS64_ISS_OP2_MASK": (EC.SYSTEM, 0, "Op2"),
    "SYS64_ISS_OP0_MASK": (EC.SYSTEM, 0, "Op0"),
    "ERET_ISS_ERET": (EC.ERET, 0, "ERET"),
    "ERET_ISS_ERETA": (EC.ERET, 1 << 1, "ERETA"),
    "FP_EXC_TFV": (EC.FLOATING_POINT, 0, "TFV"),
    "CP15_32_ISS_DIR_MASK": (EC.CP15_MCR_MRC, 0, "Direction"),
    "CP15_32_ISS_RT_MASK": (EC.CP15_MCR_MRC, 0, "Rt"),
    "CP15_32_ISS_CRM_MASK": (EC.CP15_MCR_MRC, 0, "CRm"),
    "CP15_32_ISS_CRN_MASK": (EC.CP15_MCR_MRC, 0, "CRn"),
    "CP15_32_ISS_OP1_MASK": (EC.CP15_MCR_MRC, 0, "Opc1"),
    "CP15_32_ISS_OP2_MASK": (EC.CP15_MCR_MRC, 0, "Opc2"),
    "CP15_64_ISS_DIR_MASK": (EC.CP15_MCRR_MRRC, 0, "Direction"),
    "CP15_64_ISS_RT_MASK": (EC.CP15_MCRR_MRRC, 0, "Rt"),
    "CP15_64_ISS_RT2_MASK": (EC.CP15_MCRR_MRRC, 0, "Rt2"),
    "CP15_64_ISS_OP1_MASK": (EC.CP15_MCRR_MRRC, 0, "Opc1"),
    "CP15_64_ISS_CRM_MASK": (EC.CP15_MCRR_MRRC, 0, "CRm"),
    "SME_ISS_SMTC_MASK": (EC.SME_ACCESS, 0, "SMTC"),
    "MOPS_ISS_MEM_INST": (EC.MEMORY_OPERATION, 0, "MemInst"),
    "MOPS_ISS_FROM_EPILOGUE": (EC.MEMORY_OPERATION, 0, "FromEpilogue"),
    "MOPS_ISS_WRONG_OPTION": (EC.MEMORY_OPERATION, 0, "WrongOption"),
    "MOPS_ISS_OPTION_A": (EC.MEMORY_OPERATION, 0, "OptionA"),
    "ExType_MASK": (EC.GUARDED_CONTROL_STACK, 0, "ExType"),
    "Raddr_MASK": (EC.GUARDED_CONTROL_STACK, 2 << 20, "Raddr"),
    "Rn_MASK": (EC.GUARDED_CONTROL_STACK, 0, "Rn"),
    "Rvalue_MASK": (EC.GUARDED_CONTROL_STACK, 2 << 20, "Rvalue"),
    "IT_MASK": (EC.GUARDED_CONTROL_STACK, 0, "IT"),
}
"""By Linux's name: the class, what else has to be set for the field to be there and apply, and its own name."""
ISS2_MASKS: Mapping[str, tuple[EC, int, str]] = {
    "HDBSSF": (EC.DATA_ABORT_LOWER_EL, 0, "HDBSSF"),
    "TnD": (EC.DATA_ABORT_LOWER_EL, PERMISSION, "TnD"),
    "TagAccess": (EC.DATA_ABORT_LOWER_EL, 0, "TagAccess"),
    "GCS": (EC.DATA_ABORT_LOWER_EL, 0, "GCS"),
    "Overlay": (EC.DATA_ABORT_LOWER_EL, PERMISSION, "Overlay"),
    "DirtyBit": (EC.DATA_ABORT_LOWER_EL, PERMISSION, "DirtyBit"),
    "Xs_MASK": (EC.DATA_ABORT_LOWER_EL, ISV | 1 << 11 | PERMISSION, "Xs"),
}
"""The same, counted from bit 32 on."""
VALUES = {
    "ISS_OTHER_ST64BV": (EC.OTHER_INSTRUCTION, "ST64BV"),
    "ISS_OTHER_ST64BV0": (EC.OTHER_INSTRUCTION, "ST64BV0"),
    "ISS_OTHER_LDST64B": (EC.OTHER_INSTRUCTION, "LD64B or ST64B"),
    "ISS_OTHER_TSBCSYNC": (EC.OTHER_INSTRUCTION, "TSB CSYNC"),
    "ISS_OTHER_PSBCSYNC": (EC.OTHER_INSTRUCTION, "PSB CSYNC"),
    "WFx_ISS_WFI": (EC.WF, "WFI"),
    "WFx_ISS_WFE": (EC.WF, "WFE"),
    "WFx_ISS_WFxT": (EC.WF, "WFIT"),
    "IT_GCSPOPM": (EC.GUARDED_CONTROL_STACK, "GCSPOPM X0"),
    "IT_RET_KEYA": (EC.GUARDED_CONTROL_STACK, "RETAA"),
    "IT_RET_KEYB": (EC.GUARDED_CONTROL_STACK, "RETAB"),
    "IT_GCSSS1": (EC.GUARDED_CONTROL_STACK, "GCSSS1 X0"),
    "IT_GCSSS2": (EC.GUARDED_CONTROL_STACK, "GCSSS2"),
}
"""The instruction that an ISS says, by Linux's name for the ISS."""
LINUX_DIFFERS = {"IT_GCSPOPCX": 0b01000, "IT_GCSPOPX": 0b01001}
"""Linux has 6 and 7; the manual has these, in "AArch64.GCSDataCheckException" of its pseudocode and in the ISS."""


@pytest.fixture(scope="module")
def linux() -> Mapping[str, int]:
    """Evaluate the macros that are plain numbers, shifts and GENMASKs."""
    try:
        text = (kernel_headers() / "esr.h").read_text().replace("\\\n", " ")
    except Unavailable as missing:
        pytest.skip(str(missing))
    known: dict[str, int] = {}
    for name, body in re.findall(r"^#define\s+ESR_ELx_(\w+)\s+(.+)$", text, re.MULTILINE):
        body = re.sub(r"/\*.*", "", body).replace("GENMASK_ULL", "GENMASK")
        body = re.sub(r"\bESR_ELx_(\w+)", lambda found: str(known.get(found[1], found[0])), body)
        body = re.sub(r"\b(?:UL|BIT)\((\w+)\)", r"\1", body)
        body = re.sub(r"GENMASK\((\d+), (\d+)\)", lambda f: str((2 << int(f[1])) - (1 << int(f[2]))), body)
        if re.fullmatch(r"[\s\dxa-fA-F()<|~&+-]+", body):
            known[name] = eval(body)  # numbers, parentheses and operators alone
    assert len(known) > 150, "esr.h has another form now"
    return known


def layout(exception_class: EC, also: int) -> Word:
    return decode(exception_class << 26 | also).word


def test_every_exception_class_of_linux_has_our_number(linux: Mapping[str, int]) -> None:
    theirs = {name.removeprefix("EC_"): value for name, value in linux.items() if name.startswith("EC_")}
    assert {name: theirs[name] for name in EXCEPTION_CLASSES} == EXCEPTION_CLASSES
    assert set(theirs) - set(EXCEPTION_CLASSES) == {"MAX", "SHIFT", "WIDTH", "MASK"}
    assert set(EC) - set(EXCEPTION_CLASSES.values()) == NOT_IN_LINUX


@pytest.mark.parametrize(("name", "where"), [*MASKS.items(), *ISS2_MASKS.items()])
def test_a_field_is_where_linux_has_it(linux: Mapping[str, int], name: str, where: tuple[EC, int, str]) -> None:
    exception_class, also, ours = where
    word = layout(exception_class, also)
    field = type(word).field(ours)
    assert field.mask == linux[name] << (32 if name in ISS2_MASKS else 0)
    assert word.applies(field)


@pytest.mark.parametrize("name", VALUES)
def test_an_iss_names_the_instruction_that_linux_names(linux: Mapping[str, int], name: str) -> None:
    exception_class, instruction = VALUES[name]
    assert decode(exception_class << 26 | linux[name]).instruction == instruction


def test_fault_status_codes_are_those_of_linux(linux: Mapping[str, int]) -> None:
    levelled = {
        FaultKind.ADDRESS_SIZE: "FSC_ADDRSZ", FaultKind.TRANSLATION: "FSC_FAULT", FaultKind.ACCESS_FLAG: "FSC_ACCESS",
        FaultKind.PERMISSION: "FSC_PERM",
    }  # fmt: skip
    for kind, name in levelled.items():
        assert [status(Fault(kind, 1, level)) for level in range(4)] == [linux[name] + level for level in range(4)]
    assert status(Fault(FaultKind.TRANSLATION, 1, -1)) == linux["FSC_FAULT_nL"] - 1
    assert status(Fault(FaultKind.TRANSLATION, 1, -2)) == linux["FSC_FAULT_nL"] - 2
    assert status(Fault(FaultKind.EXTERNAL_ABORT, 1, None)) == linux["FSC_EXTABT"]
    assert status(Fault(FaultKind.TAG_CHECK, 1, None)) == linux["FSC_MTE"]
    assert status(Fault(FaultKind.PARITY, 1, None)) == linux["FSC_SECC"]


def test_where_linux_has_other_numbers_the_manual_is_followed(linux: Mapping[str, int]) -> None:
    for name, ours in LINUX_DIFFERS.items():
        assert linux[name] != ours, "they agree now: move it to VALUES"
        assert GCSDataCheck.IT.meaning(ours) == name.removeprefix("IT_")


def test_sizes_of_the_halves_are_those_of_linux(linux: Mapping[str, int]) -> None:
    assert (ESR_ELx.ISS.mask, ESR_ELx.ISS2.mask) == (linux["ISS_MASK"], linux["ISS2_MASK"])
