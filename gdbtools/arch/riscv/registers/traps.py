"""What a trap leaves behind, where it goes, and who takes it: xcause, xtval, xepc, xtvec, xedeleg, htval, htinst.

Source: The RISC-V Privileged Architecture, the section of each register's name; the codes are those of "Machine Cause
(mcause) Register" and of the H extension's "Trap Cause Codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.bits import Field, Word

EXCEPTIONS: Final[Mapping[int, str]] = {
    0: "instruction address misaligned",
    1: "instruction access fault",
    2: "illegal instruction",
    3: "breakpoint",
    4: "load address misaligned",
    5: "load access fault",
    6: "store/AMO address misaligned",
    7: "store/AMO access fault",
    8: "environment call from U-mode or VU-mode",
    9: "environment call from S-mode",
    10: "environment call from VS-mode",
    11: "environment call from M-mode",
    12: "instruction page fault",
    13: "load page fault",
    15: "store/AMO page fault",
    16: "double trap",
    18: "software check",
    19: "hardware error",
    20: "instruction guest-page fault",
    21: "load guest-page fault",
    22: "virtual instruction",
    23: "store/AMO guest-page fault",
}


def _cause(name: str, doc: str, bits: int) -> type[Word]:
    fields = {
        "__doc__": f"{doc} Cause.",
        "width": bits,
        "Interrupt": Field(bits - 1, doc="an interrupt, not an exception", values={0: "exception", 1: "interrupt"}),
        "Code": Field((bits - 2, 0), doc="exception code", values=EXCEPTIONS),
    }
    return type(name, (Word,), fields)


def _whole(name: str, doc: str, field: str, said: str, bits: int, scale: int = 1) -> type[Word]:
    value = Field((bits - 1, 0), doc=said, scale=scale)
    return type(name, (Word,), {"__doc__": doc, "width": bits, field: value})


def _vector(name: str, doc: str, bits: int) -> type[Word]:
    fields = {
        "__doc__": f"{doc} Trap Vector Base Address.",
        "width": bits,
        "BASE": Field((bits - 1, 2), doc="where traps are taken", scale=4),
        "MODE": Field((1, 0), doc="whether interrupts have entries of their own", values={0: "Direct", 1: "Vectored"}),
    }
    return type(name, (Word,), fields)


def _delegation(name: str, doc: str, bits: int) -> type[Word]:
    """A bit for each exception that may be delegated, at its code."""
    fields: dict[str, object] = {"__doc__": doc, "width": bits}
    fields |= {f"E{code}": Field(code, doc=said) for code, said in EXCEPTIONS.items()}
    return type(name, (Word,), fields)


def declared(bits: int) -> Mapping[str, type[Word]]:
    """Return the registers of traps by name, where their XLEN is `bits`."""
    found: dict[str, type[Word]] = {}
    for letter, level in (("s", "Supervisor"), ("vs", "Virtual Supervisor"), ("m", "Machine")):
        found |= {
            f"{letter}cause": _cause(f"{letter.upper()}CAUSE{bits}", level, bits),
            f"{letter}tval": _whole(
                f"{letter.upper()}TVAL{bits}", f"{level} Trap Value.", "VALUE", "what the cause says", bits
            ),
            f"{letter}epc": _whole(f"{letter.upper()}EPC{bits}", f"{level} Exception PC.", "PC", "returns to", bits),
            f"{letter}tvec": _vector(f"{letter.upper()}TVEC{bits}", level, bits),
        }
    for name, letter, level in (("htval", "h", "Hypervisor"), ("mtval2", "m", "Machine Second")):
        said = "faulting guest physical address, 0 where there is none or it is not told"
        found[name] = _whole(f"{name.upper()}{bits}", f"{level} Trap Value.", "GPA", said, bits, scale=4)
        found[f"{letter}tinst"] = _whole(
            f"{letter.upper()}TINST{bits}", "Trap Instruction.", "INSTRUCTION", "transformed, or why a walk read", bits
        )
    for name, level in (("medeleg", "Machine"), ("hedeleg", "Hypervisor")):
        found[name] = _delegation(f"{name.upper()}{bits}", f"{level} Exception Delegation.", bits)
    return found
