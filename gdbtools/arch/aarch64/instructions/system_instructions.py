"""Name the target of a System register access or System instruction from its encoding, and write the instruction out.

Source: Arm ARM (DDI 0487), "AArch64 System instruction class encoding overview"; the spelling is the manual's own.
`MRS` and `SYSL` read; `MSR`, `SYS` and all that the manual calls by an alias of `SYS` (`DC`, `TLBI`, `AT`) write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from gdbtools.arch.aarch64.registers.system_register_names import register_name

__all__ = ["Operation", "assembly", "assembly_pair", "encodings", "name"]


class Operation(NamedTuple):
    """The five fields that select what an instruction of the System class does, or which register it accesses."""

    op0: int
    op1: int
    CRn: int
    CRm: int
    op2: int


_ZERO_REGISTER = 31
_NO_NAME = "-"

# "MSR (immediate)": by op1 and op2.  Its CRm is the immediate.
_PSTATE_CRn = 4
_PSTATE: Mapping[tuple[int, int], str] = {
    (0, 3): "UAO",
    (0, 4): "PAN",
    (0, 5): "SPSel",
    (3, 1): "SSBS",
    (3, 2): "DIT",
    (3, 4): "TCO",
    (3, 6): "DAIFSet",
    (3, 7): "DAIFClr",
}
# Those whose immediate is CRm[0] alone: by op1, op2 and CRm[3:1].
_PSTATE_BIT: Mapping[tuple[int, int, int], str] = {
    (1, 0, 0b000): "ALLINT",
    (1, 0, 0b001): "PM",
    (3, 3, 0b001): "SVCRSM",
    (3, 3, 0b010): "SVCRZA",
    (3, 3, 0b011): "SVCRSMZA",
}
# The instructions without an operand that share that space, and need CRm to be 0: by op1 and op2.
_FLAGS: Mapping[tuple[int, int], str] = {(0, 0): "CFINV", (0, 1): "XAFLAG", (0, 2): "AXFLAG"}

# What `SYS` does, by op1, CRn and CRm, then op2.
_SYS: Mapping[tuple[int, int, int], Mapping[int, str]] = {
    (0, 7, 1): {0: "IC IALLUIS"},
    (0, 7, 5): {0: "IC IALLU"},
    (0, 7, 6): {1: "DC IVAC", 2: "DC ISW", 3: "DC IGVAC", 4: "DC IGSW", 5: "DC IGDVAC", 6: "DC IGDSW"},
    (0, 7, 7): {4: "GCSPUSHX", 5: "GCSPOPCX", 6: "GCSPOPX"},
    (0, 7, 8): {0: "AT S1E1R", 1: "AT S1E1W", 2: "AT S1E0R", 3: "AT S1E0W"},
    (0, 7, 9): {0: "AT S1E1RP", 1: "AT S1E1WP", 2: "AT S1E1A"},
    (0, 7, 10): {2: "DC CSW", 4: "DC CGSW", 6: "DC CGDSW"},
    (0, 7, 14): {2: "DC CISW", 4: "DC CIGSW", 6: "DC CIGDSW"},
    (0, 7, 15): {1: "DC CIVAPS", 5: "DC CIGDVAPS"},
    (0, 12, 0): {0: "GSB SYS", 1: "GSB ACK"},
    (0, 12, 1): {
        0: "GIC CDDIS",
        1: "GIC CDEN",
        2: "GIC CDPRI",
        3: "GIC CDAFF",
        4: "GIC CDPEND",
        5: "GIC CDRCFG",
        7: "GIC CDEOI",
    },
    (0, 12, 2): {0: "GIC CDDI", 1: "GIC CDHM"},
    (1, 7, 2): {4: "BRB IALL", 5: "BRB INJ"},
    (3, 7, 2): {7: "TRCIT"},
    (3, 7, 3): {4: "CFP RCTX", 5: "DVP RCTX", 6: "COSP RCTX", 7: "CPP RCTX"},
    (3, 7, 4): {1: "DC ZVA", 3: "DC GVA", 4: "DC GZVA", 5: "DC ZGBVA", 7: "DC GBVA"},
    (3, 7, 5): {1: "IC IVAU"},
    (3, 7, 7): {0: "GCSPUSHM", 2: "GCSSS1"},
    (3, 7, 10): {1: "DC CVAC", 3: "DC CGVAC", 5: "DC CGDVAC"},
    (3, 7, 11): {0: "DC CVAOC", 1: "DC CVAU", 7: "DC CGDVAOC"},
    (3, 7, 12): {1: "DC CVAP", 3: "DC CGVAP", 5: "DC CGDVAP"},
    (3, 7, 13): {1: "DC CVADP", 3: "DC CGVADP", 5: "DC CGDVADP"},
    (3, 7, 14): {1: "DC CIVAC", 3: "DC CIGVAC", 5: "DC CIGDVAC"},
    (3, 7, 15): {0: "DC CIVAOC", 7: "DC CIGDVAOC"},
    (4, 7, 0): {4: "MLBI ALLE1", 5: "MLBI VMALLE1", 6: "MLBI VPIDE1", 7: "MLBI VPMGE1"},
    (4, 7, 8): {
        0: "AT S1E2R",
        1: "AT S1E2W",
        4: "AT S12E1R",
        5: "AT S12E1W",
        6: "AT S12E0R",
        7: "AT S12E0W",
    },
    (4, 7, 9): {2: "AT S1E2A"},
    (4, 7, 14): {0: "DC CIPAE", 7: "DC CIGDPAE"},
    (4, 12, 1): {0: "GIC VDDIS", 1: "GIC VDEN", 2: "GIC VDPRI", 3: "GIC VDAFF", 4: "GIC VDPEND", 5: "GIC VDRCFG"},
    (4, 12, 2): {0: "GIC VDDI", 1: "GIC VDHM"},
    (6, 7, 0): {0: "APAS"},
    (6, 7, 8): {0: "AT S1E3R", 1: "AT S1E3W"},
    (6, 7, 9): {2: "AT S1E3A"},
    (6, 7, 14): {1: "DC CIPAPA", 5: "DC CIGDPAPA"},
    (6, 8, 1): {4: "TLBI PAALLOS"},
    (6, 8, 4): {3: "TLBI RPAOS", 7: "TLBI RPALOS"},
    (6, 8, 7): {4: "TLBI PAALL"},
    (6, 12, 1): {0: "GIC LDDIS", 1: "GIC LDEN", 2: "GIC LDPRI", 3: "GIC LDAFF", 4: "GIC LDPEND", 5: "GIC LDRCFG"},
    (6, 12, 2): {0: "GIC LDDI", 1: "GIC LDHM"},
}
# What `SYSL` does.
_SYSL: Mapping[tuple[int, int, int], Mapping[int, str]] = {
    (0, 12, 3): {0: "GICR CDIA", 1: "GICR CDNMIA"},
    (3, 7, 7): {1: "GCSPOPM", 3: "GCSSS2"},
}

# TLBI is a product: an operation by op1 and op2, a shareability by CRm, and the nXS qualifier by CRn.
_TLBI_QUALIFIERS: Mapping[int, str] = {8: "", 9: "NXS"}
_TLBI_SHAREABILITY: Mapping[int, str] = {1: "OS", 3: "IS", 7: ""}
_TLBI: Mapping[int, str] = {
    0: "VMALLE1 VAE1 ASIDE1 VAAE1 - VALE1 - VAALE1",
    4: "ALLE2 VAE2 - - ALLE1 VALE2 VMALLS12E1",
    6: "ALLE3 VAE3 - - - VALE3",
}
_TLBI_RANGE_SHAREABILITY: Mapping[int, str] = {2: "IS", 5: "OS", 6: ""}
_TLBI_RANGE: Mapping[int, str] = {
    0: "- RVAE1 - RVAAE1 - RVALE1 - RVAALE1",
    4: "- RVAE2 VMALLWS2E1 - - RVALE2",
    6: "- RVAE3 - - - RVALE3",
}
# By IPA the shareability is in op2 as well, and follows no rule: by CRm.
_TLBI_IPA: Mapping[int, str] = {
    0: "- IPAS2E1IS RIPAS2E1IS - - IPAS2LE1IS RIPAS2LE1IS",
    4: "IPAS2E1OS IPAS2E1 RIPAS2E1 RIPAS2E1OS IPAS2LE1OS IPAS2LE1 RIPAS2LE1 RIPAS2LE1OS",
}
# PLBI has the same shareabilities, and the qualifier in CRm[3].
_PLBI_QUALIFIERS: Mapping[int, str] = {0: "", 8: "NXS"}
_PLBI: Mapping[int, str] = {
    0: "VMALLE1 PERME1 ASIDE1 PERMAE1",
    4: "ALLE2 PERME2 - - ALLE1",
    6: "ALLE3 PERME3",
}

_WITHOUT_REGISTER = frozenset(
    (
        "IC IALLU",
        "IC IALLUIS",
        "GCSPUSHX",
        "GCSPOPCX",
        "GCSPOPX",
        "GSB SYS",
        "GSB ACK",
        "GIC CDEOI",
        "BRB IALL",
        "BRB INJ",
        "MLBI ALLE1",
        "MLBI VMALLE1",
        "TLBI PAALL",
        "TLBI PAALLOS",
    )
)
_OF_ALL = ("TLBI ALL", "TLBI VMALL", "PLBI ALL", "PLBI VMALL")
_WITHOUT_DOMAINS = "PLBI ALLE3"
_BROADCAST = ("IS", "OS", "ISNXS", "OSNXS")
_BY_ADDRESS = ("TLBI VA", "TLBI RVA", "TLBI IPA", "TLBI RIPA")


def _spread(
    CRn: int, by_op1: Mapping[int, str], by_CRm: Mapping[int, str], qualifier: str
) -> Iterator[tuple[Operation, str]]:
    for op1, names in by_op1.items():
        for CRm, shareability in by_CRm.items():
            for op2, each in enumerate(names.split()):
                if each != _NO_NAME:
                    yield Operation(1, op1, CRn, CRm, op2), f"{each}{shareability}{qualifier}"


@cache
def _invalidations() -> Mapping[Operation, str]:
    """Spread the products out, TLBI and PLBI."""
    found: dict[Operation, str] = {}
    for CRn, qualifier in _TLBI_QUALIFIERS.items():
        found.update((operation, f"TLBI {each}") for operation, each in _tlbi(CRn, qualifier))
    for offset, qualifier in _PLBI_QUALIFIERS.items():
        by_CRm = {CRm + offset: shareability for CRm, shareability in _TLBI_SHAREABILITY.items()}
        found.update((operation, f"PLBI {each}") for operation, each in _spread(10, _PLBI, by_CRm, qualifier))
    return found


@cache
def encodings() -> Mapping[str, Operation]:
    """Return the operation of every `SYS` that has a name of its own, like `TLBI VAE1IS` or `AT S1E1R`."""
    named = {
        what: Operation(1, op1, CRn, CRm, op2) for (op1, CRn, CRm), names in _SYS.items() for op2, what in names.items()
    }
    return named | {what: operation for operation, what in _invalidations().items()}


def _tlbi(CRn: int, qualifier: str) -> Iterator[tuple[Operation, str]]:
    yield from _spread(CRn, _TLBI, _TLBI_SHAREABILITY, qualifier)
    yield from _spread(CRn, _TLBI_RANGE, _TLBI_RANGE_SHAREABILITY, qualifier)
    for CRm, names in _TLBI_IPA.items():
        yield from _spread(CRn, {4: names}, {CRm: ""}, qualifier)


def _instruction(operation: Operation, read: bool) -> str:
    """Return the name of a System instruction, of op0 0b01, or give "" where it has only `SYS` and `SYSL`."""
    _, op1, CRn, CRm, op2 = operation
    found = (_SYSL if read else _SYS).get((op1, CRn, CRm), {}).get(op2, "")
    return found or ("" if read else _invalidations().get(operation, ""))


def _field_of_pstate(operation: Operation) -> str:
    _, op1, CRn, CRm, op2 = operation
    if CRn != _PSTATE_CRn:
        return ""
    if CRm == 0 and (op1, op2) in _FLAGS:
        return _FLAGS[op1, op2]
    return _PSTATE.get((op1, op2)) or _PSTATE_BIT.get((op1, op2, CRm >> 1), "")


def _encoded(operation: Operation) -> str:
    """Write an encoding as `SYS` and `SYSL` have it, and as `SYSP` does."""
    _, op1, CRn, CRm, op2 = operation
    return f"#{op1}, C{CRn}, C{CRm}, #{op2}"


def _register(operation: Operation, read: bool) -> str:
    op0, op1, CRn, CRm, op2 = operation
    found = "" if op0 < 2 else register_name(op0, op1, CRn, CRm, op2, read)
    return found or f"S{op0}_{op1}_C{CRn}_C{CRm}_{op2}"


def name(operation: Operation, read: bool) -> str:
    """Name what an instruction does or accesses: `SCTLR_EL1`, `DC CISW`, `TLBI VAE1IS`, `DAIFSet`.

    What has no name is as an assembler takes it: `S3_4_C1_C0_2`, or `SYS #3, C7, C4, #1`.
    """
    if operation.op0 == 1:
        return _instruction(operation, read) or f"{'SYSL' if read else 'SYS'} {_encoded(operation)}"
    if operation.op0 == 0 and not read:
        return _field_of_pstate(operation) or _register(operation, read)
    return _register(operation, read)


def _x(number: int) -> str:
    return f"X{number}" if number < _ZERO_REGISTER else "XZR"


def assembly(operation: Operation, read: bool, rt: int) -> str:
    """Write the whole instruction: `MSR SCTLR_EL1, X0`, `DC CISW, X3`, `TLBI VMALLE1IS`, `MSR DAIFSet, #2`."""
    if operation.op0 == 1:
        return _instruction_assembly(operation, read, rt)
    if operation.op0 == 0 and not read:
        return _immediate_assembly(operation, rt)
    register = _register(operation, read)
    return f"MRS {_x(rt)}, {register}" if read else f"MSR {register}, {_x(rt)}"


def _immediate_assembly(operation: Operation, rt: int) -> str:
    found = _field_of_pstate(operation)
    if not found:
        return f"MSR {_register(operation, read=False)}, {_x(rt)}"
    if found in _FLAGS.values():
        return found
    immediate = operation.CRm & 1 if found in _PSTATE_BIT.values() else operation.CRm
    return f"MSR {found}, #{immediate}"


def _may_have_register(found: str) -> bool:
    """FEAT_TLBID gives a register, the domain, to those invalidations of all that are broadcast."""
    if found.startswith(_OF_ALL):
        return found.endswith(_BROADCAST) and not found.startswith(_WITHOUT_DOMAINS)
    return found not in _WITHOUT_REGISTER


def _may_lack_register(found: str) -> bool:
    return found in _WITHOUT_REGISTER or found.startswith(_OF_ALL) or found == "GCSPOPM"


def _instruction_assembly(operation: Operation, read: bool, rt: int) -> str:
    found = _instruction(operation, read)
    mnemonic, _, what = found.partition(" ")
    without = rt == _ZERO_REGISTER
    if mnemonic == "GICR":
        return f"GICR {_x(rt)}, {what}"
    if found and without and _may_lack_register(found):
        return found
    if found and _may_have_register(found):
        return f"{found}, {_x(rt)}" if what else f"{found} {_x(rt)}"
    if read:
        return f"SYSL {_x(rt)}, {_encoded(operation)}"
    return f"SYS {_encoded(operation)}" + ("" if without else f", {_x(rt)}")


def assembly_pair(operation: Operation, read: bool, rt: int) -> str:
    """Write an instruction of two registers (FEAT_SYSREG128, FEAT_SYSINSTR128): `MRRS X0, X1, TTBR0_EL1`.

    `rt` is the first of the two; a TLBI of those by address is `TLBIP VAE1IS, X0, X1`.
    """
    pair = f"{_x(rt)}, {_x(min(rt + 1, _ZERO_REGISTER))}"
    if operation.op0 != 1:
        register = _register(operation, read)
        return f"MRRS {pair}, {register}" if read else f"MSRR {register}, {pair}"
    found = _instruction(operation, read)
    if found.startswith(_BY_ADDRESS):
        return f"TLBIP {found.partition(' ')[2]}, {pair}"
    return f"SYSP {_encoded(operation)}" + ("" if rt == _ZERO_REGISTER else f", {pair}")
