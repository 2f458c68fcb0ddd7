"""What mode a hart is in, was in, and how it accesses memory: mstatus, sstatus, vsstatus, hstatus, priv, virt.

Source: The RISC-V Privileged Architecture, "Machine Status (mstatus and mstatush) Registers", with those of the H
extension, "Supervisor Status (sstatus) Register", "Virtual Supervisor Status (vsstatus) Register", "Hypervisor Status
(hstatus) Register".
"""

from __future__ import annotations

from gdbtools.bits import NO_YES, OFF_ON, Field, Word

_STATE = {0: "Off", 1: "Initial", 2: "Clean", 3: "Dirty"}
_XLEN = {1: "32", 2: "64", 3: "128"}
_PREVIOUS = {0: "U", 1: "S"}
_ENDIAN = {0: "little-endian", 1: "big-endian"}


class _Supervisor(Word):
    """What every status register has of a supervisor's."""

    SDT = Field(24, doc="in a trap: the next one is a double trap (Ssdbltrp)", values=NO_YES)
    SPELP = Field(23, doc="a landing pad was expected (Zicfilp)", values=NO_YES)
    MXR = Field(19, doc="loads may read what is executable", values=OFF_ON)
    SUM = Field(18, doc="supervisor mode may access user pages", values=OFF_ON)
    XS = Field((16, 15), doc="state of further extensions", values=_STATE)
    FS = Field((14, 13), doc="floating-point state", values=_STATE)
    VS = Field((10, 9), doc="vector state", values=_STATE)
    SPP = Field(8, doc="mode before the trap", values=_PREVIOUS)
    UBE = Field(6, doc="user mode's data", values=_ENDIAN)
    SPIE = Field(5, doc="supervisor interrupts before the trap", values=OFF_ON)
    SIE = Field(1, doc="supervisor interrupts", values=OFF_ON)


class SSTATUS64(_Supervisor):
    """Supervisor Status, where its XLEN is 64; vsstatus has the same layout."""

    SD = Field(63, doc="some extension's state is dirty", values=NO_YES)
    UXL = Field((33, 32), doc="XLEN of user mode", values=_XLEN)


class SSTATUS32(_Supervisor):
    """Supervisor Status, where its XLEN is 32; vsstatus has the same layout."""

    width = 32
    SD = Field(31, doc="some extension's state is dirty", values=NO_YES)


class _Machine(_Supervisor):
    """What the machine's status has besides a supervisor's, in the lower half."""

    TSR = Field(22, doc="sret in supervisor mode traps", values=OFF_ON)
    TW = Field(21, doc="waiting for an interrupt traps", values=OFF_ON)
    TVM = Field(20, doc="satp and fences in supervisor mode trap", values=OFF_ON)
    MPRV = Field(17, doc="loads and stores are as in the mode before the trap", values=OFF_ON)
    MPP = Field((12, 11), doc="mode before the trap", values={0: "U", 1: "S", 3: "M"})
    MPIE = Field(7, doc="machine interrupts before the trap", values=OFF_ON)
    MIE = Field(3, doc="machine interrupts", values=OFF_ON)


class MSTATUS64(_Machine):
    """Machine Status, where MXLEN is 64."""

    SD = Field(63, doc="some extension's state is dirty", values=NO_YES)
    MDT = Field(42, doc="in a trap: the next one is a double trap (Smdbltrp)", values=NO_YES)
    MPELP = Field(41, doc="a landing pad was expected (Zicfilp)", values=NO_YES)
    MPV = Field(39, doc="virtualization mode before the trap", values=OFF_ON)
    GVA = Field(38, doc="mtval has a guest virtual address", values=NO_YES)
    MBE = Field(37, doc="machine mode's data", values=_ENDIAN)
    SBE = Field(36, doc="supervisor mode's data, and tables", values=_ENDIAN)
    SXL = Field((35, 34), doc="XLEN of supervisor mode", values=_XLEN)
    UXL = Field((33, 32), doc="XLEN of user mode", values=_XLEN)


class MSTATUS32(_Machine):
    """Machine Status, where MXLEN is 32; mstatush has its other half."""

    width = 32
    SD = Field(31, doc="some extension's state is dirty", values=NO_YES)


class MSTATUSH(Word):
    """The upper half of Machine Status, where MXLEN is 32."""

    width = 32
    MDT = Field(10, doc="in a trap: the next one is a double trap (Smdbltrp)", values=NO_YES)
    MPELP = Field(9, doc="a landing pad was expected (Zicfilp)", values=NO_YES)
    MPV = Field(7, doc="virtualization mode before the trap", values=OFF_ON)
    GVA = Field(6, doc="mtval has a guest virtual address", values=NO_YES)
    MBE = Field(5, doc="machine mode's data", values=_ENDIAN)
    SBE = Field(4, doc="supervisor mode's data, and tables", values=_ENDIAN)


class _Hypervisor(Word):
    """What the hypervisor's status has at either width."""

    VTSR = Field(22, doc="sret in VS-mode traps", values=OFF_ON)
    VTW = Field(21, doc="waiting for an interrupt in VS-mode traps", values=OFF_ON)
    VTVM = Field(20, doc="satp and fences in VS-mode trap", values=OFF_ON)
    VGEIN = Field((17, 12), doc="number of the guest's external interrupt")
    HU = Field(9, doc="user mode may use HLV, HLVX and HSV", values=NO_YES)
    SPVP = Field(8, doc="whose accesses HLV, HLVX and HSV are", values={0: "VU", 1: "VS"})
    SPV = Field(7, doc="virtualization mode before the trap", values=OFF_ON)
    GVA = Field(6, doc="stval has a guest virtual address", values=NO_YES)
    VSBE = Field(5, doc="VS-mode's data, and tables", values=_ENDIAN)


class HSTATUS64(_Hypervisor):
    """Hypervisor Status, where HSXLEN is 64."""

    HUPMM = Field((49, 48), doc="pointer masking of user mode's HLV and HSV (Ssnpm)")
    VSXL = Field((33, 32), doc="XLEN of VS-mode", values=_XLEN)


class HSTATUS32(_Hypervisor):
    """Hypervisor Status, where HSXLEN is 32."""

    width = 32


class PRIV(Word):
    """The nominal privilege mode, as a debugger sees it: the Debug Specification's "Virtual Debug Registers"."""

    v = Field(2, doc="virtualization mode, where the source shows it", values=OFF_ON)
    prv = Field((1, 0), doc="privilege mode", values={0: "U", 1: "S", 3: "M"})


class VIRT(Word):
    """The virtualization mode V."""

    v = Field(0, doc="virtualization mode", values=OFF_ON)


class PRIV32(PRIV):
    """The nominal privilege mode, where XLEN is 32."""

    width = 32


class VIRT32(VIRT):
    """The virtualization mode V, where XLEN is 32."""

    width = 32
