"""Processor state, and where exceptions go: CPSR, DFAR, IFAR, VBAR.

Source of every class: the section of its own name in chapter G8 of the Arm ARM (DDI 0487), and "The Current Program
Status Register".
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.aarch32.privilege_levels import MODES
from gdbtools.arch.aarch32.registers.translation import Word32
from gdbtools.bits import NO_YES, OFF_ON, Field

_MASKED: Final = {0: "not masked", 1: "masked"}


class CPSR(Word32):
    """Current Program Status Register; a saved one, SPSR, has the same layout."""

    N = Field(31, doc="negative")
    Z = Field(30, doc="zero")
    C = Field(29, doc="carry")
    V = Field(28, doc="overflow")
    Q = Field(27, doc="saturated", values=NO_YES)
    J = Field(24, doc="with T: the instruction set", values=NO_YES)
    SSBS = Field(23, doc="speculative store bypass safe", values=NO_YES)
    PAN = Field(22, doc="Privileged Access Never", values=OFF_ON)
    DIT = Field(21, doc="data independent timing", values=OFF_ON)
    IL = Field(20, doc="illegal execution state", values=NO_YES)
    GE = Field((19, 16), doc="greater than or equal")
    IT = Field((15, 10), (26, 25), doc="If-Then state")
    E = Field(9, doc="byte order of data", values={0: "little-endian", 1: "big-endian"})
    A = Field(8, doc="asynchronous aborts", values=_MASKED)
    I = Field(7, doc="IRQ", values=_MASKED)  # noqa: E741
    F = Field(6, doc="FIQ", values=_MASKED)
    T = Field(5, doc="instruction set", values={0: "A32", 1: "T32"})
    M = Field((4, 0), doc="mode", values=MODES)


class DFAR(Word32):
    """Data Fault Address Register: the faulting virtual address of a data access."""

    VA = Field((31, 0), doc="faulting virtual address")


class IFAR(Word32):
    """Instruction Fault Address Register: the faulting virtual address of a fetch."""

    VA = Field((31, 0), doc="faulting virtual address")


class VBAR32(Word32):
    """Vector Base Address Register: 32 bytes aligned."""

    VBA = Field((31, 5), doc="vector base address", scale=1 << 5)


class SCR(Word32):
    """Secure Configuration Register."""

    HCE = Field(8, doc="HVC instructions", values=OFF_ON)
    SCD = Field(7, doc="SMC instructions are disabled", values=NO_YES)
    nET = Field(6, doc="no early termination", values=NO_YES)
    AW = Field(5, doc="Non-secure state may mask asynchronous aborts", values=NO_YES)
    FW = Field(4, doc="Non-secure state may mask FIQ", values=NO_YES)
    EA = Field(3, doc="external aborts go to Monitor mode", values=NO_YES)
    FIQ = Field(2, doc="FIQ goes to Monitor mode", values=NO_YES)
    IRQ = Field(1, doc="IRQ goes to Monitor mode", values=NO_YES)
    NS = Field(0, doc="security state", values={0: "Secure", 1: "Non-secure"})
