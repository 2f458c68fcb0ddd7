"""What the controls of EL3 trap.

Source: DDI 0487, "EL3 configurable controls", the descriptions of the controls' fields, and the accessor
pseudocode of the registers and System instructions.
"""

from __future__ import annotations

from collections.abc import Iterator

from gdbtools.arch.aarch64.traps import groups
from gdbtools.arch.aarch64.traps.registers import CPTR_EL3, ICC_SRE, MDCR_EL3
from gdbtools.arch.aarch64.traps.rule import Condition, TrapRule, Under, hcr, scr
from gdbtools.bits import Field


def rules() -> Iterator[TrapRule]:
    """Yield what traps to EL3."""
    yield from _by_scr()
    yield from _by_others()


def _by_scr() -> Iterator[TrapRule]:
    below, kernel, hypervisor = (0, 1, 2), (1, 2), (2,)
    table: tuple[tuple[str, int, tuple[int, ...], str, bool, bool], ...] = (
        ("APK", 0, kernel, groups.KEYS, True, True),
        ("API", 0, below, groups.POINTER_AUTHENTICATION, True, True),
        ("TERR", 1, kernel, groups.ERRORS, True, True),
        ("TWERR", 1, kernel, groups.ERRORS_WRITTEN, False, True),
        ("FIEN", 0, kernel, groups.INJECTION, True, True),
        ("TLOR", 1, kernel, groups.ORDERING, True, True),
        ("ATA", 0, kernel, groups.joined(groups.TAGS, "TFSR_EL12"), True, True),
        ("EnSCXT", 0, below, "SCXTNUM_EL*", True, True),
        ("TRNDR", 1, (0, 1, 2, 3), "RNDR; RNDRRS", True, False),
        ("EnTP2", 0, below, "TPIDR2_EL0", True, True),
        ("EnFPM", 0, below, "FPMR", True, True),
        ("GCSEn", 0, below, groups.STACK_REGISTERS, True, True),
        ("HXEn", 0, hypervisor, "HCRX_EL2", True, True),
        ("ADEn", 0, kernel, "ACCDATA_EL1", True, True),
        ("AMVOFFEN", 0, hypervisor, "AMEVCNTVOFF*_EL2", True, True),
        ("FGTEn", 0, hypervisor, "HFG?TR_EL2; HDFG?TR_EL2; HAFGRTR_EL2", True, True),
        ("FGTEn2", 0, hypervisor, "HFG?TR2_EL2; HDFG?TR2_EL2", True, True),
        ("ECVEn", 0, hypervisor, "CNTPOFF_EL2", True, True),
        ("RCWMASKEn", 0, kernel, f"RCW*MASK_EL1; {groups.OF_128_BITS}RCW*MASK_EL1", True, True),
        ("TCR2En", 0, kernel, "TCR2_EL*", True, True),
        ("SCTLR2En", 0, kernel, "SCTLR2_EL*", True, True),
        ("PIEn", 0, below, "POR_EL0", True, True),
        ("PIEn", 0, kernel, "PIR_EL*; PIRE0_EL*; POR_EL1*; POR_EL2; S2POR_EL1; S2PIR_EL2", True, True),
        ("AIEn", 0, kernel, "MAIR2_EL*; AMAIR2_EL*", True, True),
        ("MECEn", 0, hypervisor, "MECID_*_EL2; VMECID_?_EL2", True, True),
        ("PFAREn", 0, kernel, "PFAR_EL*", True, True),
        ("SRMASKEn", 0, kernel, groups.joined(groups.MASKS, "*MASK_EL2"), True, True),
        ("HDBSSEn", 0, hypervisor, "HDBSSBR_EL2; HDBSSPROD_EL2", True, True),
        ("HACDBSEn", 0, hypervisor, "HACDBSBR_EL2; HACDBSCONS_EL2", True, True),
        ("VTLBIDEn", 0, hypervisor, "VTLBID*_EL2", True, True),
        ("D128En", 0, kernel, groups.PAIRS, True, True),
        ("D128En", 0, hypervisor, groups.PAIRS_OF_EL2, True, True),
        ("EnIDCP128", 0, below, groups.IMPLEMENTATION_DEFINED_128, True, True),
        ("TID3", 1, kernel, groups.IDENTIFICATION_3, True, False),
        ("TID5", 1, kernel, "GMID_EL1", True, False),
        ("ST", 0, (1,), "CNTPS_*_EL1", True, True),
        ("TWI", 1, below, "WFI; WFIT", True, True),
        ("TWE", 1, below, "WFE; WFET", True, True),
        ("EnAS0", 0, below, "ST64BV0", True, True),
        ("EA", 1, (0, 1, 2, 3), groups.joined(groups.EXTERNAL_ABORT, groups.SERROR), True, True),
        ("FIQ", 1, hypervisor, groups.GROUP_0, True, True),
        ("IRQ", 1, hypervisor, groups.GROUP_1, True, True),
    )
    for name, value, levels, what, reads, writes in table:
        spared = ("ERXPFG*",) if name == "TERR" else ()
        yield TrapRule((scr(name, value),), levels, 3, groups.split(what), reads, writes, Under.ANY, spared)
    # At EL1 the registers are the virtual ones where HCR_EL2 takes the interrupts.
    yield TrapRule((scr("FIQ", 1), hcr("FMO", 0)), (1,), 3, groups.split(groups.GROUP_0), under=Under.ANY)
    yield TrapRule((scr("IRQ", 1), hcr("IMO", 0)), (1,), 3, groups.split(groups.GROUP_1), under=Under.ANY)
    both = (scr("IRQ", 1), scr("FIQ", 1))
    yield TrapRule(both, (2,), 3, groups.split(groups.COMMON), under=Under.ANY)
    yield TrapRule((*both, hcr("IMO", 0), hcr("FMO", 0)), (1,), 3, groups.split(groups.COMMON), under=Under.ANY)


def _by_others() -> Iterator[TrapRule]:
    below, kernel = (0, 1, 2), (1, 2)

    def rule(holder: str, field: Field, values: tuple[int, ...], levels: tuple[int, ...], what: str) -> TrapRule:
        spared = (
            groups.split(groups.NOT_MONITORS)
            if field is MDCR_EL3.TPM
            else groups.split(groups.NOT_TRACE)
            if field is CPTR_EL3.TTA
            else ()
        )
        return TrapRule(
            (Condition(holder, field, values),), levels, 3, groups.split(what), under=Under.ANY, spared=spared
        )

    of_all = (0, 1, 2, 3)
    for field, value, levels, what in (
        (CPTR_EL3.TFP, 1, of_all, groups.FLOATING_POINT),
        (CPTR_EL3.EZ, 0, of_all, groups.SVE),
        (CPTR_EL3.ESM, 0, of_all, groups.joined(groups.SME, "SMPRI_EL1", "SMPRIMAP_EL2")),
        (CPTR_EL3.TTA, 1, of_all, groups.TRACE),
        (CPTR_EL3.TAM, 1, below, groups.ACTIVITY),
        (CPTR_EL3.TCPAC, 1, kernel, "CPACR_EL1*; CPTR_EL2; CPACR"),
    ):
        yield rule("CPTR_EL3", field, (value,), levels, what)
    for field, value, levels, what in (
        (MDCR_EL3.TDA, 1, below, groups.joined(groups.DEBUG, groups.ROM)),
        (MDCR_EL3.TDOSA, 1, below, groups.OS_LOCK),
        (MDCR_EL3.TDCC, 1, below, groups.CHANNEL),
        (MDCR_EL3.TPM, 1, below, groups.MONITORS),
        (MDCR_EL3.TTRF, 1, kernel, "TRFCR_EL*; TRFCR; HTRFCR"),
        (MDCR_EL3.EnPM2, 0, below, groups.MONITORS_NEW),
        (MDCR_EL3.EnPMSS, 0, kernel, groups.SNAPSHOTS),
        (MDCR_EL3.EnPMSN, 0, kernel, "PMSNEVFR_EL1"),
        (MDCR_EL3.EnPMS3, 0, kernel, "PMSDSFR_EL1"),
        (MDCR_EL3.EnTB2, 0, kernel, "TRBMPAM_EL1"),
        (MDCR_EL3.EnITE, 0, kernel, "TRCITECR_EL*"),
        (MDCR_EL3.EBWE, 0, kernel, "MDSELR_EL1"),
        (MDCR_EL3.EnSTEPOP, 0, kernel, "MDSTEPOP_EL1"),
    ):
        yield rule("MDCR_EL3", field, (value,), levels, what)
    profiling = groups.joined(groups.PROFILING, groups.PROFILING_BUFFER, "PMSCR_EL2; PMSCR_EL12")
    # The buffers are owned by one Security state; the others trap.
    for field, what in ((MDCR_EL3.NSPB, profiling), (MDCR_EL3.NSTB, groups.TRACE_BUFFER)):
        yield rule("MDCR_EL3", field, (0b00, 0b10), kernel, what)
        for value, non_secure in ((0b01, 1), (0b11, 0)):
            owned = Condition("MDCR_EL3", field, (value,))
            yield TrapRule((owned, scr("NS", non_secure)), kernel, 3, groups.split(what), under=Under.ANY)
    records = groups.split(groups.BRANCH_RECORDS)
    for values, non_secure in (((0b00, 0b10), 1), ((0b00, 0b01, 0b10), 0)):
        owned = Condition("MDCR_EL3", MDCR_EL3.SBRBE, values)
        yield TrapRule((owned, scr("NS", non_secure)), kernel, 3, records, under=Under.ANY)
    interface = Condition("ICC_SRE_EL3", ICC_SRE.Enable, (0,))
    yield TrapRule((interface,), kernel, 3, ("ICC_SRE_EL1", "ICC_SRE_EL2"), under=Under.ANY)
