"""Where QEMU departs from the manual in what it raises, and the classes that no QEMU raises: each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.triggers.model import Trigger

ALL = ("7.2", "10.0", "11.1")
BEFORE_11 = ("7.2", "10.0")
NOTHING, UNDEFINED = r"^no exception$", r"^(target 0x1, not 0x2; )?EC 0x0, not"


@dataclass(frozen=True)
class Departure:
    """Where QEMU is known to depart from the manual, and in which versions; everything else has to agree."""

    what: str
    rule: str
    """What the manual has instead, and where."""
    versions: tuple[str, ...]
    applies: Callable[[Trigger], bool]
    shows: str
    """What is different, as a regular expression on all the differences."""
    needs: str = ""
    """The feature without which there is no such departure."""


def named(*parts: str) -> Callable[[Trigger], bool]:
    return lambda trigger: any(part in trigger.name for part in parts)


def _of_class(*classes: EC) -> Callable[[Trigger], bool]:
    return lambda trigger: trigger.ec in classes


DEPARTURES = (
    Departure(
        "SP alignment is not checked",
        "a load by a misaligned SP is an SP alignment fault: SCTLR_EL1.SA, AArch64.CheckSPAlignment",
        ALL,
        _of_class(EC.SP_ALIGNMENT),
        NOTHING,
    ),
    Departure(
        "WFE is not trapped, and neither is WFET",
        "HCR_EL2.TWE and SCTLR_EL1.nTWE trap them: AArch64.CheckForWFxTrap",
        BEFORE_11,
        named("WFE at", "WFET at"),
        NOTHING,
    ),
    Departure(
        "a trapped WFIT has the syndrome of WFI",
        "TI is 0b10, and RN the register: ISS encoding for an exception from a WF* instruction",
        ("10.0",),
        named("WFIT at"),
        r"TI 0x0, not 0x2; RV 0x0, not 0x1",
    ),
    Departure(
        "HCR_EL2.TIDCP leaves encodings alone that the CPU does not have",
        "every access of EL1 to the IMPLEMENTATION DEFINED encodings is trapped: HCR_EL2.TIDCP",
        ("7.2",),
        named("HCR_EL2.TIDCP"),
        UNDEFINED,
    ),
    Departure(
        "MDCR_EL2.TPMCR does nothing",
        "accesses to PMCR_EL0 are trapped: MDCR_EL2.TPMCR",
        BEFORE_11,
        named("MDCR_EL2.TPMCR"),
        NOTHING,
    ),
    Departure(
        "a trapped MSR DAIFSet or DAIFClr has Op1 and Op2 exchanged",
        "ISS has the instruction's own op1 and op2: AArch64.SystemAccessTrapSyndrome",
        ALL,
        named("msr DAIFSet", "msr DAIFClr"),
        r"^instruction 'MSR S0_[67]_C4_C\d+_3, XZR', not",
    ),
    Departure(
        "MDSCR_EL1.TDCC does nothing in AArch64, and there is no DBGDTR_EL0",
        "accesses of EL0 to the debug communication channel are trapped: MDSCR_EL1.TDCC",
        ("7.2",),
        named("EL0: MDSCR_EL1.TDCC"),
        rf"{NOTHING}|{UNDEFINED}",
    ),
    Departure(
        "there is no DBGDTR_EL0",
        "accesses of EL0 to the debug communication channel are trapped: MDSCR_EL1.TDCC",
        ("10.0",),
        named("mrs x7, DBGDTR_EL0 at EL0"),
        UNDEFINED,
    ),
    Departure(
        "the debug communication channel is not for an AArch32 EL0",
        "its accesses are trapped, and otherwise allowed: MDSCR_EL1.TDCC",
        ALL,
        named("DBGDSCRint at EL0", "DBGDSAR at EL0"),
        rf"{NOTHING}|{UNDEFINED}",
    ),
    Departure(
        "MRRC of DBGDRAR is not trapped",
        "MDCR_EL2.TDRA traps it: AArch64.AArch32SystemAccessTrap, EC 0b001100",
        ALL,
        _of_class(EC.CP14_MRRC),
        NOTHING,
    ),
    Departure(
        "LDC and STC of DBGDTRRXint and DBGDTRTXint are UNDEFINED",
        "they are trapped by MDSCR_EL1.TDCC and MDCR_EL2.TDA: AArch64.AArch32SystemAccessTrap, EC 0b000110",
        ALL,
        _of_class(EC.LDC_STC),
        UNDEFINED,
    ),
    Departure(
        "MRRC of PMCCNTR is UNDEFINED",
        "it is trapped by PMUSERENR_EL0: AArch64.AArch32SystemAccessTrap",
        BEFORE_11,
        named("PMCCNTR at EL0: PMUSERENR_EL0"),
        UNDEFINED,
    ),
    Departure(
        "HSTR_EL2 leaves encodings alone that the CPU does not have",
        "an access of EL1 to any encoding of that CRn or CRm is trapped: HSTR_EL2.T9",
        ("7.2",),
        named("64-bit c9 at EL1"),
        UNDEFINED,
    ),
    Departure(
        "there is no Vector Catch",
        "DBGVCR32_EL2 asks for it: AArch32.VCRMatch",
        ALL,
        _of_class(EC.VECTOR_CATCH_AARCH32),
        UNDEFINED,
    ),
    Departure(
        "BKPT of T32 has IL 1",
        "a 16-bit instruction has IL 0: ESR_EL1.IL",
        BEFORE_11,
        named("BKPT in T32"),
        r"^IL 0x1, not 0x0$",
    ),
    Departure(
        "alignment is not checked in Device memory",
        "an unaligned access to it is an Alignment fault: AArch64.S1DisabledOutput, AArch64.CheckAlignment",
        BEFORE_11,
        named("unaligned in Device memory"),
        NOTHING,
    ),
    Departure(
        "cache maintenance by address is not translated",
        "it may fault as a load does, with CM set: AArch64.DC, AArch64.IC",
        ALL,
        lambda trigger: "CM" in trigger.fields and bool(trigger.fields["CM"]),
        NOTHING,
    ),
    Departure(
        "an abort of EL2 itself has ISV set",
        "only stage 2 aborts have: ISS encoding for an exception from a Data Abort, ISV",
        ("7.2",),
        lambda trigger: trigger.ec is EC.DATA_ABORT_SAME_EL and trigger.target == 2,
        r"ISV 0x1, not 0x0",
    ),
    Departure(
        "a stage 2 fault on a stage 1 walk has the level of the stage 1 lookup",
        "it has the level of the stage 2 lookup: AArch64.S1Walk gives stage 2's fault unchanged",
        ("7.2",),
        named("whose stage 1 table stage 2 does not map"),
        r"^[DI]FSC 0x6, not 0x5$",
    ),
    Departure(
        "HVC of EL3 goes to EL2",
        "it is taken to EL3: AArch64.CallHypervisor",
        ("7.2",),
        named("HVC at EL3"),
        r"^target 0x2, not 0x3$",
    ),
    Departure(
        "SCR_EL3.EA does not route synchronous External aborts",
        "they are taken to EL3: AArch64.Abort",
        ALL,
        named("SCR_EL3.EA"),
        r"target 0x1, not 0x3",
    ),
    Departure(
        "an Alignment fault of a Load-Exclusive has WnR set",
        "it is a read: AArch64.CheckAlignment, AArch64.FaultSyndrome",
        ("10.0", "11.1"),
        named("ldxr x7, [x1] at EL1: unaligned"),
        r"^WnR 0x1, not 0x0$",
        "LSE2",
    ),
    Departure(
        "PSTATE.EXLOCK is never set",
        "an exception from EL1 to EL1 sets it under GCSCR_EL1.EXLOCKEN: AArch64.TakeException; FEAT_GCS",
        ("11.1",),
        named("under EXLOCK"),
        r"EC 0x(0|e), not 0x2d",
    ),
)

NO_QEMU_HAS = {"LS64", "LS64_V"}
"""Features whose triggers wait for a QEMU."""
NOT_RAISED: Mapping[EC, str] = {
    EC.LDC_STC: "LDC and STC are UNDEFINED: the debug data transfer registers have no memory form",
    EC.CP14_MRRC: "the 64-bit DBGDRAR and DBGDSAR can be read by all, and there are no trace registers",
    EC.OTHER_INSTRUCTION: "no FEAT_LS64, no FEAT_SPE, no FEAT_TRF",
    EC.SYSTEM_128: "no FEAT_D128",
    EC.TSTART: "no FEAT_TME",
    EC.IMPLEMENTATION_DEFINED_EL3: "no CPU has anything of that kind",
    EC.SP_ALIGNMENT: "SP alignment is not checked",
    EC.FLOATING_POINT_AARCH32: "no FPSCR trap enables: they are RAZ/WI",
    EC.FLOATING_POINT: "no FPCR trap enables: they are RAZ/WI",
    EC.VECTOR_CATCH_AARCH32: "DBGVCR does nothing",
    EC.PROFILING: "no FEAT_EBEP, no FEAT_SPE_EXC",
}
"""The classes that no QEMU raises, and why."""


def departure(version: str, has: Callable[[str], bool], trigger: Trigger) -> Departure | None:
    """Return what is known of a trigger in a version, on a machine with such features."""
    known = (each for each in DEPARTURES if version in each.versions and has(each.needs) and each.applies(trigger))
    return next(known, None)
