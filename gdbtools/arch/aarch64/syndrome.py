"""Exception syndromes: ESR_ELx, with instruction and data aborts in full and the other classes by name.

Source: DDI 0487, "ESR_EL1, Exception Syndrome Register (EL1)": "ISS encoding for an exception from a Data Abort" and
"... from an Instruction Abort".
"""

from __future__ import annotations

from gdbtools.arch.model import AccessKind, Fault, FaultKind, Syndrome
from gdbtools.bits import Field, Word

EXCEPTION_CLASS = {
    0b000000: "unknown reason",
    0b000001: "WF* instruction",
    0b000011: "MCR or MRC, coproc 0b1111",
    0b000100: "MCRR or MRRC, coproc 0b1111",
    0b000101: "MCR or MRC, coproc 0b1110",
    0b000110: "LDC or STC",
    0b000111: "SVE, Advanced SIMD or floating-point access",
    0b001000: "VMRS access",
    0b001001: "pointer authentication instruction",
    0b001010: "LD64B, ST64B or another trapped instruction",
    0b001100: "MRRC, coproc 0b1110",
    0b001101: "Branch Target",
    0b001110: "illegal Execution state",
    0b010001: "SVC (AArch32)",
    0b010010: "HVC (AArch32)",
    0b010011: "SMC (AArch32)",
    0b010100: "MSRR, MRRS or SYSP",
    0b010101: "SVC",
    0b010110: "HVC",
    0b010111: "SMC",
    0b011000: "MSR, MRS or System instruction",
    0b011001: "SVE access",
    0b011010: "ERET, ERETAA or ERETAB",
    0b011011: "TSTART",
    0b011100: "pointer authentication failure",
    0b011101: "SME access",
    0b011110: "Granule Protection Check",
    0b011111: "IMPLEMENTATION DEFINED, to EL3",
    0b100000: "Instruction Abort from a lower Exception level",
    0b100001: "Instruction Abort from the same Exception level",
    0b100010: "PC alignment fault",
    0b100100: "Data Abort from a lower Exception level",
    0b100101: "Data Abort from the same Exception level",
    0b100110: "SP alignment fault",
    0b100111: "Memory Copy or Memory Set",
    0b101000: "floating-point exception (AArch32)",
    0b101100: "floating-point exception",
    0b101101: "Guarded Control Stack",
    0b101111: "SError",
    0b110000: "Breakpoint from a lower Exception level",
    0b110001: "Breakpoint from the same Exception level",
    0b110010: "Software Step from a lower Exception level",
    0b110011: "Software Step from the same Exception level",
    0b110100: "Watchpoint from a lower Exception level",
    0b110101: "Watchpoint from the same Exception level",
    0b111000: "BKPT (AArch32)",
    0b111010: "Vector Catch (AArch32)",
    0b111100: "BRK",
    0b111101: "profiling exception",
}
INSTRUCTION_ABORT_LOWER, INSTRUCTION_ABORT_SAME = 0b100000, 0b100001
DATA_ABORT_LOWER, DATA_ABORT_SAME = 0b100100, 0b100101
# "FAR_EL1, Fault Address Register (EL1)": besides aborts, PC alignment faults and watchpoints leave the address there.
ADDRESS_IN_FAR = (0b100010, 0b110100, 0b110101)

_KIND = FaultKind
# DFSC and IFSC, spelled out as the manual tabulates them: (kind, level, on a table walk).
FAULT_STATUS: dict[int, tuple[FaultKind, int | None]] = {
    0b000000: (_KIND.ADDRESS_SIZE, 0),
    0b000001: (_KIND.ADDRESS_SIZE, 1),
    0b000010: (_KIND.ADDRESS_SIZE, 2),
    0b000011: (_KIND.ADDRESS_SIZE, 3),
    0b000100: (_KIND.TRANSLATION, 0),
    0b000101: (_KIND.TRANSLATION, 1),
    0b000110: (_KIND.TRANSLATION, 2),
    0b000111: (_KIND.TRANSLATION, 3),
    0b001000: (_KIND.ACCESS_FLAG, 0),
    0b001001: (_KIND.ACCESS_FLAG, 1),
    0b001010: (_KIND.ACCESS_FLAG, 2),
    0b001011: (_KIND.ACCESS_FLAG, 3),
    0b001100: (_KIND.PERMISSION, 0),
    0b001101: (_KIND.PERMISSION, 1),
    0b001110: (_KIND.PERMISSION, 2),
    0b001111: (_KIND.PERMISSION, 3),
    0b010000: (_KIND.EXTERNAL_ABORT, None),
    0b010001: (_KIND.TAG_CHECK, None),
    0b010010: (_KIND.EXTERNAL_ABORT, -2),
    0b010011: (_KIND.EXTERNAL_ABORT, -1),
    0b010100: (_KIND.EXTERNAL_ABORT, 0),
    0b010101: (_KIND.EXTERNAL_ABORT, 1),
    0b010110: (_KIND.EXTERNAL_ABORT, 2),
    0b010111: (_KIND.EXTERNAL_ABORT, 3),
    0b011000: (_KIND.PARITY, None),
    0b011010: (_KIND.PARITY, -2),
    0b011011: (_KIND.PARITY, -1),
    0b011100: (_KIND.PARITY, 0),
    0b011101: (_KIND.PARITY, 1),
    0b011110: (_KIND.PARITY, 2),
    0b011111: (_KIND.PARITY, 3),
    0b100001: (_KIND.ALIGNMENT, None),
    0b100010: (_KIND.GRANULE_PROTECTION, -2),
    0b100011: (_KIND.GRANULE_PROTECTION, -1),
    0b100100: (_KIND.GRANULE_PROTECTION, 0),
    0b100101: (_KIND.GRANULE_PROTECTION, 1),
    0b100110: (_KIND.GRANULE_PROTECTION, 2),
    0b100111: (_KIND.GRANULE_PROTECTION, 3),
    0b101000: (_KIND.GRANULE_PROTECTION, None),
    0b101001: (_KIND.ADDRESS_SIZE, -1),
    0b101010: (_KIND.TRANSLATION, -2),
    0b101011: (_KIND.TRANSLATION, -1),
    0b101100: (_KIND.ADDRESS_SIZE, -2),
    0b110000: (_KIND.TLB_CONFLICT, None),
    0b110001: (_KIND.UNSUPPORTED_ATOMIC, None),
    0b110100: (_KIND.IMPLEMENTATION_DEFINED, None),
    0b110101: (_KIND.IMPLEMENTATION_DEFINED, None),
}
EXTERNAL_ABORT_NOT_ON_WALK = 0b010000
# What a fetch cannot raise: reserved in IFSC.
DATA_ONLY = frozenset((0b010001, 0b100001, 0b110100, 0b110101))
_IMPLEMENTATION_DEFINED_NAMES = {
    0b110001: "unsupported atomic hardware update fault",
    0b110100: "IMPLEMENTATION DEFINED fault (lockdown)",
    0b110101: "IMPLEMENTATION DEFINED fault (unsupported Exclusive or Atomic access)",
}
_STATUS_OF = {(kind, level): code for code, (kind, level) in reversed(FAULT_STATUS.items())}


def _status_name(code: int) -> str:
    kind, level = FAULT_STATUS[code]
    name = {
        FaultKind.EXTERNAL_ABORT: "synchronous External abort",
        FaultKind.PARITY: "synchronous parity or ECC error",
        FaultKind.TLB_CONFLICT: "TLB conflict abort",
        FaultKind.TAG_CHECK: "synchronous Tag Check fault",
        FaultKind.IMPLEMENTATION_DEFINED: _IMPLEMENTATION_DEFINED_NAMES.get(code, ""),
        FaultKind.UNSUPPORTED_ATOMIC: _IMPLEMENTATION_DEFINED_NAMES.get(code, ""),
    }.get(kind, f"{kind.label[0].upper()}{kind.label[1:]} fault")
    on_walk = kind in (FaultKind.EXTERNAL_ABORT, FaultKind.PARITY, FaultKind.GRANULE_PROTECTION)
    if level is None:
        return f"{name}, not on a table walk" if on_walk else name
    return f"{name} on a table walk, level {level}" if on_walk else f"{name}, level {level}"


STATUS_NAMES = {code: _status_name(code) for code in FAULT_STATUS}
FETCH_STATUS_NAMES = {code: name for code, name in STATUS_NAMES.items() if code not in DATA_ONLY}
_NO_YES = {0: "no", 1: "yes"}
_IL = {0: "16-bit instruction", 1: "32-bit instruction, or not about one"}
_SET = {0b00: "Recoverable (UER)", 0b10: "Uncontainable (UC)", 0b11: "Restartable (UEO)"}
_FNV = {0: "FAR is valid", 1: "FAR is not valid"}


class ESR_ELx(Word):
    """Exception Syndrome Register, of a class whose ISS is not taken apart."""

    ISS2 = Field((55, 32), doc="instruction specific syndrome, second part")
    EC = Field((31, 26), doc="exception class", values=EXCEPTION_CLASS)
    IL = Field(25, doc="instruction length", values=_IL)
    ISS = Field((24, 0), doc="instruction specific syndrome")


class DataAbort(Word):
    """ESR_ELx for a Data Abort."""

    TnD = Field(42, doc="tag is data (FEAT_MTE_STORE_ONLY)", values=_NO_YES)
    TagAccess = Field(41, doc="tag access by a page without them", values=_NO_YES)
    GCS = Field(40, doc="access by a Guarded Control Stack operation", values=_NO_YES)
    AssuredOnly = Field(39, doc="AssuredOnly violation", values=_NO_YES)
    Overlay = Field(38, doc="overlay permissions refused", values=_NO_YES)
    DirtyBit = Field(37, doc="the permission fault is for the dirty state", values=_NO_YES)
    Xs = Field((36, 32), doc="register with the data of an ST64BV or ST64BV0")
    EC = Field((31, 26), doc="exception class", values=EXCEPTION_CLASS)
    IL = Field(25, doc="instruction length", values=_IL)
    ISV = Field(24, doc="instruction syndrome valid", values={0: "bits [23:14] say nothing", 1: "yes"})
    SAS = Field((23, 22), doc="access size", values={0: "byte", 1: "halfword", 2: "word", 3: "doubleword"})
    SSE = Field(21, doc="sign extend", values=_NO_YES)
    SRT = Field((20, 16), doc="transferred register")
    SF = Field(15, doc="register width", values={0: "32 bits", 1: "64 bits"})
    AR = Field(14, doc="acquire/release", values=_NO_YES)
    VNCR = Field(13, doc="access through VNCR_EL2", values=_NO_YES)
    SET = Field((12, 11), doc="synchronous error type", values=_SET)
    FnV = Field(10, doc="FAR not valid", values=_FNV)
    EA = Field(9, doc="external abort type (IMPLEMENTATION DEFINED)")
    CM = Field(8, doc="cache maintenance or address translation", values=_NO_YES)
    S1PTW = Field(7, doc="stage 2 fault on a stage 1 table walk", values=_NO_YES)
    WnR = Field(6, doc="write, not read", values={0: "read", 1: "write"})
    DFSC = Field((5, 0), doc="data fault status code", values=STATUS_NAMES)

    def applies(self, field: Field) -> bool:
        cls = type(self)
        if field in (cls.SAS, cls.SSE, cls.SRT, cls.SF, cls.AR):
            return bool(self.ISV)
        if field is cls.SET:
            return self.DFSC == EXTERNAL_ABORT_NOT_ON_WALK and not self.ISV
        if field is cls.FnV:
            return self.DFSC == EXTERNAL_ABORT_NOT_ON_WALK
        return True


class DataAbortWithoutISV(DataAbort):
    """ESR_ELx for a Data Abort whose instruction syndrome is not valid."""

    TopLevel = Field(21, doc="TopLevel permission attribute checks refused", values=_NO_YES)
    SSE = None  # type: ignore[assignment]

    def applies(self, field: Field) -> bool:
        if field is type(self).TopLevel:
            return _is_permission(self.DFSC)
        return super().applies(field)


class InstructionAbort(Word):
    """ESR_ELx for an Instruction Abort."""

    TopLevel = Field(21, doc="TopLevel permission attribute checks refused", values=_NO_YES)
    AssuredOnly = Field(39, doc="AssuredOnly violation", values=_NO_YES)
    Overlay = Field(38, doc="overlay permissions refused", values=_NO_YES)
    DirtyBit = Field(37, doc="the permission fault is for the dirty state", values=_NO_YES)
    EC = Field((31, 26), doc="exception class", values=EXCEPTION_CLASS)
    IL = Field(25, doc="instruction length", values=_IL)
    SET = Field((12, 11), doc="synchronous error type", values=_SET)
    FnV = Field(10, doc="FAR not valid", values=_FNV)
    EA = Field(9, doc="external abort type (IMPLEMENTATION DEFINED)")
    S1PTW = Field(7, doc="stage 2 fault on a stage 1 table walk", values=_NO_YES)
    IFSC = Field((5, 0), doc="instruction fault status code", values=FETCH_STATUS_NAMES)

    def applies(self, field: Field) -> bool:
        if field is type(self).TopLevel:
            return _is_permission(self.IFSC)
        if field in (type(self).SET, type(self).FnV):
            return self.IFSC == EXTERNAL_ABORT_NOT_ON_WALK
        return True


def _is_permission(code: int) -> bool:
    return FAULT_STATUS.get(code, (None, None))[0] is FaultKind.PERMISSION


def status(fault: Fault) -> int | None:
    """Give the fault status code of a fault, None where the manual has none."""
    return _STATUS_OF.get((fault.kind, fault.level))


def _fault(code: int, s1ptw: bool) -> Fault | None:
    known = FAULT_STATUS.get(code)
    return Fault(known[0], 2 if s1ptw else 1, known[1], s1ptw) if known else None


def decode(value: int) -> Syndrome:
    """Decode ESR_ELx; never refuses a value.

    An access whose CM is 1 is cache maintenance, although WnR is then 1 as well: it writes no memory.
    """
    esr = ESR_ELx(value)
    name = ESR_ELx.EC.meaning(esr.EC) or f"reserved exception class {esr.EC:#04x}"
    if esr.EC in (DATA_ABORT_LOWER, DATA_ABORT_SAME):
        data = DataAbort(value) if DataAbort.ISV.of(value) else DataAbortWithoutISV(value)
        kind = AccessKind.MAINTENANCE if data.CM else AccessKind.WRITE if data.WnR else AccessKind.READ
        return Syndrome(
            word=data,
            name=name,
            fault=_fault(data.DFSC, bool(data.S1PTW)),
            access_kind=kind,
            status=data.DFSC,
            from_lower=esr.EC == DATA_ABORT_LOWER,
            address_valid=not (data.applies(DataAbort.FnV) and data.FnV),
            s1ptw=bool(data.S1PTW),
        )
    if esr.EC in (INSTRUCTION_ABORT_LOWER, INSTRUCTION_ABORT_SAME):
        fetch = InstructionAbort(value)
        return Syndrome(
            word=fetch,
            name=name,
            fault=None if fetch.IFSC in DATA_ONLY else _fault(fetch.IFSC, bool(fetch.S1PTW)),
            access_kind=AccessKind.EXECUTE,
            status=fetch.IFSC,
            from_lower=esr.EC == INSTRUCTION_ABORT_LOWER,
            address_valid=not (fetch.applies(InstructionAbort.FnV) and fetch.FnV),
            s1ptw=bool(fetch.S1PTW),
        )
    return Syndrome(word=esr, name=name, address_valid=esr.EC in ADDRESS_IN_FAR)
