"""ESR_ELx.EC: the exception classes, by the manual's numbers.

Source: DDI 0487, "ESR_EL1, Exception Syndrome Register (EL1)", and those of EL2 and EL3, the values of EC.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class EC(enum.IntEnum):
    """An exception class."""

    UNKNOWN = 0b000000
    WF = 0b000001
    CP15_MCR_MRC = 0b000011
    CP15_MCRR_MRRC = 0b000100
    CP14_MCR_MRC = 0b000101
    LDC_STC = 0b000110
    FLOATING_POINT_ACCESS = 0b000111
    VMRS = 0b001000
    POINTER_AUTHENTICATION = 0b001001
    OTHER_INSTRUCTION = 0b001010
    CP14_MRRC = 0b001100
    BRANCH_TARGET = 0b001101
    ILLEGAL_STATE = 0b001110
    SVC_AARCH32 = 0b010001
    HVC_AARCH32 = 0b010010
    SMC_AARCH32 = 0b010011
    SYSTEM_128 = 0b010100
    SVC = 0b010101
    HVC = 0b010110
    SMC = 0b010111
    SYSTEM = 0b011000
    SVE_ACCESS = 0b011001
    ERET = 0b011010
    TSTART = 0b011011
    POINTER_AUTHENTICATION_FAILURE = 0b011100
    SME_ACCESS = 0b011101
    GRANULE_PROTECTION_CHECK = 0b011110
    IMPLEMENTATION_DEFINED_EL3 = 0b011111
    INSTRUCTION_ABORT_LOWER_EL = 0b100000
    INSTRUCTION_ABORT_SAME_EL = 0b100001
    PC_ALIGNMENT = 0b100010
    DATA_ABORT_LOWER_EL = 0b100100
    DATA_ABORT_SAME_EL = 0b100101
    SP_ALIGNMENT = 0b100110
    MEMORY_OPERATION = 0b100111
    FLOATING_POINT_AARCH32 = 0b101000
    FLOATING_POINT = 0b101100
    GUARDED_CONTROL_STACK = 0b101101
    SERROR = 0b101111
    BREAKPOINT_LOWER_EL = 0b110000
    BREAKPOINT_SAME_EL = 0b110001
    SOFTWARE_STEP_LOWER_EL = 0b110010
    SOFTWARE_STEP_SAME_EL = 0b110011
    WATCHPOINT_LOWER_EL = 0b110100
    WATCHPOINT_SAME_EL = 0b110101
    BKPT_AARCH32 = 0b111000
    VECTOR_CATCH_AARCH32 = 0b111010
    BRK = 0b111100
    PROFILING = 0b111101


NAMES: Mapping[int, str] = {
    EC.UNKNOWN: "unknown reason",
    EC.WF: "trapped WF* instruction",
    EC.CP15_MCR_MRC: "trapped MCR or MRC, coproc 0b1111",
    EC.CP15_MCRR_MRRC: "trapped MCRR or MRRC, coproc 0b1111",
    EC.CP14_MCR_MRC: "trapped MCR or MRC, coproc 0b1110",
    EC.LDC_STC: "trapped LDC or STC",
    EC.FLOATING_POINT_ACCESS: "trapped SVE, Advanced SIMD or floating-point access",
    EC.VMRS: "trapped VMRS",
    EC.POINTER_AUTHENTICATION: "trapped pointer authentication instruction",
    EC.OTHER_INSTRUCTION: "trapped instruction of another kind",
    EC.CP14_MRRC: "trapped MRRC, coproc 0b1110",
    EC.BRANCH_TARGET: "Branch Target exception",
    EC.ILLEGAL_STATE: "Illegal Execution state",
    EC.SVC_AARCH32: "SVC (AArch32)",
    EC.HVC_AARCH32: "HVC (AArch32)",
    EC.SMC_AARCH32: "SMC (AArch32)",
    EC.SYSTEM_128: "trapped MSRR, MRRS or 128-bit System instruction",
    EC.SVC: "SVC",
    EC.HVC: "HVC",
    EC.SMC: "SMC",
    EC.SYSTEM: "trapped MSR, MRS or System instruction",
    EC.SVE_ACCESS: "trapped SVE access",
    EC.ERET: "trapped ERET, ERETAA or ERETAB",
    EC.TSTART: "trapped TSTART",
    EC.POINTER_AUTHENTICATION_FAILURE: "pointer authentication failure",
    EC.SME_ACCESS: "trapped SME access",
    EC.GRANULE_PROTECTION_CHECK: "Granule Protection Check exception",
    EC.IMPLEMENTATION_DEFINED_EL3: "IMPLEMENTATION DEFINED exception to EL3",
    EC.INSTRUCTION_ABORT_LOWER_EL: "Instruction Abort from a lower Exception level",
    EC.INSTRUCTION_ABORT_SAME_EL: "Instruction Abort from the same Exception level",
    EC.PC_ALIGNMENT: "PC alignment fault",
    EC.DATA_ABORT_LOWER_EL: "Data Abort from a lower Exception level",
    EC.DATA_ABORT_SAME_EL: "Data Abort from the same Exception level",
    EC.SP_ALIGNMENT: "SP alignment fault",
    EC.MEMORY_OPERATION: "Memory Copy or Memory Set exception",
    EC.FLOATING_POINT_AARCH32: "trapped floating-point exception (AArch32)",
    EC.FLOATING_POINT: "trapped floating-point exception",
    EC.GUARDED_CONTROL_STACK: "Guarded Control Stack exception",
    EC.SERROR: "SError",
    EC.BREAKPOINT_LOWER_EL: "Breakpoint from a lower Exception level",
    EC.BREAKPOINT_SAME_EL: "Breakpoint from the same Exception level",
    EC.SOFTWARE_STEP_LOWER_EL: "Software Step from a lower Exception level",
    EC.SOFTWARE_STEP_SAME_EL: "Software Step from the same Exception level",
    EC.WATCHPOINT_LOWER_EL: "Watchpoint from a lower Exception level",
    EC.WATCHPOINT_SAME_EL: "Watchpoint from the same Exception level",
    EC.BKPT_AARCH32: "BKPT (AArch32)",
    EC.VECTOR_CATCH_AARCH32: "Vector Catch (AArch32)",
    EC.BRK: "BRK",
    EC.PROFILING: "Profiling exception",
}
"""What sentences call a class."""
