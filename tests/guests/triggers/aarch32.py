"""AArch32 at EL0 and EL1: calls, coprocessor accesses, breakpoints.

Binutils for AArch64 do not know these: the words are put together here as the manual's figures have it, with the text
that belongs to each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.controls import BASE, EVERY_CASE, bits
from tests.guests.syndromes import AARCH32_SUPERVISOR, AARCH32_T32, AARCH32_USER, DAIF, DATA, Case
from tests.guests.triggers.aborts import GUARDED as NOT_AT_STAGE_2
from tests.guests.triggers.aborts import STAGE_2_ON, TRANSLATION_1, va
from tests.guests.triggers.model import Trigger

AL, EQ, NE = 0b1110, 0b0000, 0b0001
HCR = EVERY_CASE["HCR_EL2"]
HCR_32 = HCR & ~bits(31)
PSTATE_Z = bits(30)


@dataclass(frozen=True)
class Instruction:
    """A word and its text; in T32, the first halfword is the lower."""

    word: int
    text: str
    fields: tuple[tuple[str, int], ...] = ()

    @property
    def t32(self) -> Instruction:
        """Return the same coprocessor instruction in T32: the word of AL, its halfwords exchanged in memory."""
        return replace(self, word=(self.word >> 16 | self.word << 16) & 0xFFFFFFFF)


def mcr(
    coproc: int, opc1: int, rt: int, crn: int, crm: int, opc2: int, read: bool = False, cond: int = AL
) -> Instruction:
    word = (
        cond << 28
        | 0b1110 << 24
        | opc1 << 21
        | read << 20
        | crn << 16
        | rt << 12
        | coproc << 8
        | opc2 << 5
        | 1 << 4
        | crm
    )
    text = f"{'MRC' if read else 'MCR'} p{coproc}, {opc1}, R{rt}, c{crn}, c{crm}, {opc2}"
    fields = {"Opc2": opc2, "Opc1": opc1, "CRn": crn, "Rt": rt, "CRm": crm, "Direction": int(read)}
    return Instruction(word, text, tuple(fields.items()))


def mrc(coproc: int, opc1: int, rt: int, crn: int, crm: int, opc2: int, cond: int = AL) -> Instruction:
    return mcr(coproc, opc1, rt, crn, crm, opc2, True, cond)


def mcrr(coproc: int, opc1: int, rt: int, rt2: int, crm: int, read: bool = False) -> Instruction:
    word = AL << 28 | 0b1100010 << 21 | read << 20 | rt2 << 16 | rt << 12 | coproc << 8 | opc1 << 4 | crm
    text = f"{'MRRC' if read else 'MCRR'} p{coproc}, {opc1}, R{rt}, R{rt2}, c{crm}"
    fields = {"Opc1": opc1, "Rt2": rt2, "Rt": rt, "CRm": crm, "Direction": int(read)}
    return Instruction(word, text, tuple(fields.items()))


def mrrc(coproc: int, opc1: int, rt: int, rt2: int, crm: int) -> Instruction:
    return mcrr(coproc, opc1, rt, rt2, crm, True)


def ldc(read: bool, rn: int, imm8: int, add: bool, index: bool, writeback: bool) -> Instruction:
    """Of p14 and c5, the one that there is: DBGDTRTXint and DBGDTRRXint."""
    word = AL << 28 | 0b110 << 25 | index << 24 | add << 23 | writeback << 21 | read << 20 | rn << 16
    word |= 5 << 12 | 14 << 8 | imm8
    sign = "" if add else "-"
    if index:
        place = f"[R{rn}, #{sign}{4 * imm8}]" + "!" * writeback
    else:
        place = f"[R{rn}], #{sign}{4 * imm8}" if writeback else f"[R{rn}], {{{imm8}}}"
    mode = index << 1 | writeback
    fields = {"imm8": imm8, "Rn": rn, "Offset": int(add), "AM": mode, "Direction": int(read)}
    return Instruction(word, f"{'LDC' if read else 'STC'} p14, c5, {place}", tuple(fields.items()))


def vmrs(rt: int, reg: int, name: str) -> Instruction:
    fields = {"Opc1": 0b111, "CRn": reg, "Rt": rt, "Direction": 1, "Opc2": 0, "CRm": 0}
    return Instruction(AL << 28 | 0xEF0_0A10 | reg << 16 | rt << 12, f"VMRS R{rt}, {name}", tuple(fields.items()))


def svc(number: int) -> Instruction:
    return Instruction(0xEF000000 | number, f"SVC #{number & 0xFFFF:#x}")


def trigger(
    name: str,
    el: int,
    target: int,
    ec: EC,
    instruction: Instruction,
    registers: dict[str, int] | None = None,
    conditional: bool = True,
    t32: bool = False,
    cond: int | None = AL,
    immediate: int | None = None,
    returns_to_next: bool = False,
    tells: bool = True,
    il: int = 1,
    pstate: int = 0,
) -> Trigger:
    mode = {0: AARCH32_USER, 1: AARCH32_SUPERVISOR}[el] | AARCH32_T32 * t32
    every = {"HCR_EL2": HCR if el == 0 else HCR_32, **(registers or {})}
    fields = {"IL": il, **dict(instruction.fields)}
    if conditional:
        # T32 may leave CV 0; with CV 1 of an instruction without a condition COND is AL.
        fields |= {} if cond is None else {"CV": 1, "COND": cond}
    return Trigger(
        name=f"AArch32: {name}",
        case=Case(f".inst {instruction.word:#x}", mode | DAIF | pstate, every, {1: DATA + 0x1000}),
        target=target,
        ec=ec,
        fields=fields,
        instruction=instruction.text if tells else "",
        immediate=immediate,
        returns_to_next=returns_to_next,
        needs=("AA32EL0",) if el == 0 else ("AA32EL1",),
    )


CALLS = (
    trigger("SVC at EL0", 0, 1, EC.SVC_AARCH32, svc(0x17), None, False, immediate=0x17, returns_to_next=True),
    trigger(
        "SVC with an immediate of 24 bits",
        0,
        1,
        EC.SVC_AARCH32,
        svc(0xABCDEF),
        None,
        False,
        immediate=0xCDEF,
        returns_to_next=True,
    ),
    trigger(
        "SVC in T32",
        0,
        1,
        EC.SVC_AARCH32,
        Instruction(0xDF2A, "SVC #0x2a"),
        None,
        False,
        True,
        immediate=0x2A,
        returns_to_next=True,
        il=0,
    ),
    trigger(
        "SVC at EL0 under a host",
        0,
        2,
        EC.SVC_AARCH32,
        svc(0x18),
        {"HCR_EL2": HCR | bits(27)},
        False,
        immediate=0x18,
        returns_to_next=True,
    ),
    trigger(
        "HVC at EL1",
        1,
        2,
        EC.HVC_AARCH32,
        Instruction(0xE1412374, "HVC #0x1234"),
        None,
        False,
        immediate=0x1234,
        returns_to_next=True,
    ),
    trigger(
        "HVC in T32",
        1,
        2,
        EC.HVC_AARCH32,
        Instruction(0x8A34F7E1, "HVC #0x1a34"),
        None,
        False,
        True,
        immediate=0x1A34,
        returns_to_next=True,
    ),
    trigger(
        "SMC at EL1: HCR_EL2.TSC",
        1,
        2,
        EC.SMC_AARCH32,
        Instruction(0xE1600075, "SMC", (("CCKNOWNPASS", 0),)),
        {"HCR_EL2": HCR_32 | bits(19)},
        False,
    ),
    trigger(
        "BKPT at EL0", 0, 1, EC.BKPT_AARCH32, Instruction(0xE12ABC7D, "BKPT #0xabcd"), None, False, immediate=0xABCD
    ),
    trigger(
        "BKPT in T32", 0, 1, EC.BKPT_AARCH32, Instruction(0xBEAB, "BKPT #0xab"), None, False, True, immediate=0xAB, il=0
    ),
    replace(
        trigger(
            "SVC at EL0 in VHE",
            0,
            2,
            EC.SVC_AARCH32,
            svc(0x19),
            {"HCR_EL2": HCR | bits(27, 34)},
            False,
            immediate=0x19,
            returns_to_next=True,
        ),
        needs=("AA32EL0", "VH"),
    ),
    trigger("UDF at EL0", 0, 1, EC.UNKNOWN, Instruction(0xE7F000F0, "UDF"), None, False, tells=False),
    trigger("UDF in T32", 0, 1, EC.UNKNOWN, Instruction(0xDE00, "UDF"), None, False, True, tells=False),
    trigger(
        "PSTATE.IL", 0, 1, EC.ILLEGAL_STATE, Instruction(0xE320F000, "NOP"), None, False, tells=False, pstate=bits(20)
    ),
)
WAITS = (
    trigger("WFI at EL0: SCTLR_EL1.nTWI", 0, 1, EC.WF, Instruction(0xE320F003, "WFI", (("TI", 0),))),
    trigger("WFE at EL0: SCTLR_EL1.nTWE", 0, 1, EC.WF, Instruction(0xE320F002, "WFE", (("TI", 1),))),
    trigger(
        "WFI at EL1: HCR_EL2.TWI",
        1,
        2,
        EC.WF,
        Instruction(0xE320F003, "WFI", (("TI", 0),)),
        {"HCR_EL2": HCR_32 | bits(13)},
    ),
    trigger(
        "WFI in T32 at EL0: SCTLR_EL1.nTWI",
        0,
        1,
        EC.WF,
        Instruction(0xBF30, "WFI", (("TI", 0),)),
        None,
        True,
        True,
        None,
        il=0,
    ),
    trigger("WFINE at EL0", 0, 1, EC.WF, Instruction(0x1320F003, "WFI", (("TI", 0),)), cond=None),
)
CP15 = (
    trigger("PMCR at EL0: PMUSERENR_EL0", 0, 1, EC.CP15_MCR_MRC, mrc(15, 0, 3, 9, 12, 0), {"PMUSERENR_EL0": 0}),
    trigger("PMCCNTR at EL0: PMUSERENR_EL0", 0, 1, EC.CP15_MCRR_MRRC, mrrc(15, 0, 3, 4, 9), {"PMUSERENR_EL0": 0}),
    trigger("CNTP_CTL at EL0: CNTKCTL_EL1", 0, 1, EC.CP15_MCR_MRC, mcr(15, 0, 5, 14, 2, 1), {"CNTKCTL_EL1": 0}),
    trigger("CNTVCT at EL0: CNTKCTL_EL1", 0, 1, EC.CP15_MCRR_MRRC, mrrc(15, 1, 6, 7, 14), {"CNTKCTL_EL1": 0}),
    trigger("CNTV_CVAL at EL0: CNTKCTL_EL1", 0, 1, EC.CP15_MCRR_MRRC, mcrr(15, 3, 0, 12, 14), {"CNTKCTL_EL1": 0}),
    trigger(
        "PMCR in T32 at EL0: PMUSERENR_EL0",
        0,
        1,
        EC.CP15_MCR_MRC,
        mrc(15, 0, 3, 9, 12, 0).t32,
        {"PMUSERENR_EL0": 0},
        True,
        True,
        None,
    ),
    trigger(
        "MRCEQ of PMCR at EL0",
        0,
        1,
        EC.CP15_MCR_MRC,
        mrc(15, 0, 2, 9, 12, 0, EQ),
        {"PMUSERENR_EL0": 0},
        cond=None,
        pstate=PSTATE_Z,
    ),
    trigger("SCTLR at EL1: HCR_EL2.TVM", 1, 2, EC.CP15_MCR_MRC, mcr(15, 0, 3, 1, 0, 0), {"HCR_EL2": HCR_32 | bits(26)}),
    trigger(
        "SCTLR at EL1: HCR_EL2.TRVM", 1, 2, EC.CP15_MCR_MRC, mrc(15, 0, 12, 1, 0, 0), {"HCR_EL2": HCR_32 | bits(30)}
    ),
    trigger(
        "64-bit TTBR0 at EL1: HCR_EL2.TVM",
        1,
        2,
        EC.CP15_MCRR_MRRC,
        mcrr(15, 0, 2, 3, 2),
        {"HCR_EL2": HCR_32 | bits(26)},
    ),
    trigger(
        "DCCISW at EL1: HCR_EL2.TSW", 1, 2, EC.CP15_MCR_MRC, mcr(15, 0, 3, 7, 14, 2), {"HCR_EL2": HCR_32 | bits(22)}
    ),
    trigger(
        "TLBIALL at EL1: HCR_EL2.TTLB", 1, 2, EC.CP15_MCR_MRC, mcr(15, 0, 4, 8, 7, 0), {"HCR_EL2": HCR_32 | bits(25)}
    ),
    trigger("c2 at EL1: HSTR_EL2.T2", 1, 2, EC.CP15_MCR_MRC, mrc(15, 0, 5, 2, 0, 2), {"HSTR_EL2": bits(2)}),
    trigger("c13 at EL0: HSTR_EL2.T13", 0, 2, EC.CP15_MCR_MRC, mrc(15, 0, 5, 13, 0, 3), {"HSTR_EL2": bits(13)}),
    trigger("64-bit c9 at EL1: HSTR_EL2.T9", 1, 2, EC.CP15_MCRR_MRRC, mrrc(15, 0, 5, 6, 9), {"HSTR_EL2": bits(9)}),
    trigger(
        "ID_PFR0 at EL1: HCR_EL2.TID3", 1, 2, EC.CP15_MCR_MRC, mrc(15, 0, 7, 0, 1, 0), {"HCR_EL2": HCR_32 | bits(18)}
    ),
    trigger(
        "ACTLR at EL1: HCR_EL2.TACR", 1, 2, EC.CP15_MCR_MRC, mrc(15, 0, 7, 1, 0, 1), {"HCR_EL2": HCR_32 | bits(21)}
    ),
    trigger(
        "CPACR at EL1: CPTR_EL2.TCPAC",
        1,
        2,
        EC.CP15_MCR_MRC,
        mcr(15, 0, 7, 1, 0, 2),
        {"CPTR_EL2": BASE["CPTR_EL2"] | bits(31)},
    ),
)
CP14 = (
    trigger(
        "DBGDSCRint at EL0: MDSCR_EL1.TDCC", 0, 1, EC.CP14_MCR_MRC, mrc(14, 0, 4, 0, 1, 0), {"MDSCR_EL1": bits(12)}
    ),
    trigger("DBGBVR1 at EL1: MDCR_EL2.TDA", 1, 2, EC.CP14_MCR_MRC, mcr(14, 0, 4, 0, 1, 4), {"MDCR_EL2": bits(9)}),
    trigger("DBGOSLAR at EL1: MDCR_EL2.TDOSA", 1, 2, EC.CP14_MCR_MRC, mcr(14, 0, 4, 1, 0, 4), {"MDCR_EL2": bits(10)}),
    trigger("64-bit DBGDRAR at EL1: MDCR_EL2.TDRA", 1, 2, EC.CP14_MRRC, mrrc(14, 0, 3, 4, 1), {"MDCR_EL2": bits(11)}),
    trigger("64-bit DBGDSAR at EL0: MDSCR_EL1.TDCC", 0, 1, EC.CP14_MRRC, mrrc(14, 0, 3, 4, 2), {"MDSCR_EL1": bits(12)}),
    trigger(
        "STC at EL0: MDSCR_EL1.TDCC", 0, 1, EC.LDC_STC, ldc(False, 1, 3, True, True, False), {"MDSCR_EL1": bits(12)}
    ),
    trigger(
        "LDC at EL0: MDSCR_EL1.TDCC", 0, 1, EC.LDC_STC, ldc(True, 1, 1, False, True, True), {"MDSCR_EL1": bits(12)}
    ),
    trigger(
        "LDC, post-indexed, at EL1: MDCR_EL2.TDA",
        1,
        2,
        EC.LDC_STC,
        ldc(True, 1, 2, True, False, True),
        {"MDCR_EL2": bits(9)},
    ),
)
FLOATING_POINT = (
    trigger("MVFR0 at EL1: HCR_EL2.TID3", 1, 2, EC.VMRS, vmrs(3, 7, "MVFR0"), {"HCR_EL2": HCR_32 | bits(18)}),
    trigger("MVFR1 at EL1: HCR_EL2.TID3", 1, 2, EC.VMRS, vmrs(5, 6, "MVFR1"), {"HCR_EL2": HCR_32 | bits(18)}),
    trigger("FPSID at EL1: HCR_EL2.TID0", 1, 2, EC.VMRS, vmrs(4, 0, "FPSID"), {"HCR_EL2": HCR_32 | bits(15)}),
    trigger(
        "VMOV at EL0: CPACR_EL1.FPEN",
        0,
        1,
        EC.FLOATING_POINT_ACCESS,
        Instruction(0xEE000A10, "VMOV"),
        {"CPACR_EL1": 0},
        tells=False,
    ),
    trigger(
        "VADD at EL1: CPTR_EL2.TFP",
        1,
        2,
        EC.FLOATING_POINT_ACCESS,
        Instruction(0xF2000D00, "VADD.F32"),
        {"CPTR_EL2": BASE["CPTR_EL2"] | bits(10)},
        tells=False,
    ),
)


def moved(name: str, word: int, fields: dict[str, int], il: int = 1, t32: bool = False) -> Trigger:
    """Return a load or store at EL0 that stage 2 refuses."""
    found = trigger(name, 0, 2, EC.DATA_ABORT_LOWER_EL, Instruction(word, ""), STAGE_2_ON, False, t32, il=il)
    case = replace(found.case, x={1: va(NOT_AT_STAGE_2)})
    every = {"IL": il, "DFSC": TRANSLATION_1, "S1PTW": 0, **fields}
    return replace(found, case=case, fields=every, far=va(NOT_AT_STAGE_2), ipa=va(NOT_AT_STAGE_2))


ABORTS = (
    moved("LDR R3, [R1]", 0xE5913000, {"ISV": 1, "SAS": 2, "SSE": 0, "SRT": 3, "SF": 0, "AR": 0, "WnR": 0}),
    moved("STRB R4, [R1]", 0xE5C14000, {"ISV": 1, "SAS": 0, "SRT": 4, "SF": 0, "WnR": 1}),
    moved("LDRSH R5, [R1]", 0xE1D150F0, {"ISV": 1, "SAS": 1, "SSE": 1, "SRT": 5, "SF": 0, "WnR": 0}),
    moved("LDRD R2, [R1]", 0xE1C120D0, {"ISV": 0, "WnR": 0}),
    moved("LDM R1, {R2, R3}", 0xE891000C, {"ISV": 0, "WnR": 0}),
    moved("LDR R3, [R1] in T32", 0x680B, {"ISV": 1, "SAS": 2, "SRT": 3, "WnR": 0}, 0, True),
    moved("STR R3, [R1] in T32, of 32 bits", 0x3000F8C1, {"ISV": 1, "SAS": 2, "SRT": 3, "WnR": 1}, 1, True),
)
TRIGGERS: tuple[Trigger, ...] = (*CALLS, *WAITS, *CP15, *CP14, *FLOATING_POINT, *ABORTS)
