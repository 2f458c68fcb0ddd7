"""What turns paging on and says how: cr0, cr2, cr3, cr4, efer, eflags, cs.

Source: Intel SDM volume 3, "Control Registers", "IA32_EFER", "Paging-Structure"'s table "Use of CR3", "Linear-Address
Masking"; volume 1, "EFLAGS Register"; AMD64 APM volume 2, "System-Control Registers" for what only AMD has in EFER.
"""

from __future__ import annotations

from gdbtools.bits import NO_YES, OFF_ON, Field, Word

PAGE = 1 << 12


class CR0(Word):
    """Control register 0."""

    PG = Field(31, doc="paging", values=OFF_ON)
    CD = Field(30, doc="caches disabled", values=NO_YES)
    NW = Field(29, doc="not write-through", values=NO_YES)
    AM = Field(18, doc="alignment checks", values=OFF_ON)
    WP = Field(16, doc="supervisor mode heeds R/W too", values=OFF_ON)
    NE = Field(5, doc="native floating-point errors", values=OFF_ON)
    ET = Field(4, doc="extension type: 1")
    TS = Field(3, doc="task switched", values=NO_YES)
    EM = Field(2, doc="floating point is emulated", values=NO_YES)
    MP = Field(1, doc="waiting heeds TS", values=OFF_ON)
    PE = Field(0, doc="protected mode", values=OFF_ON)


class CR2(Word):
    """Control register 2: the linear address of the last page fault."""

    ADDRESS = Field((63, 0), doc="linear address of the last page fault")


class _Root(Word):
    """What control register 3 has in 4-level and 5-level paging, with PCIDs or without."""

    LAM_U48 = Field(62, doc="data addresses of user mode: bits 62:48 are ignored", values=OFF_ON)
    LAM_U57 = Field(61, doc="data addresses of user mode: bits 62:57 are ignored", values=OFF_ON)
    ROOT = Field((51, 12), doc="root table", scale=PAGE)


class CR3(_Root):
    """Control register 3 in 4-level and 5-level paging."""

    PCD = Field(4, doc="the root table is not cached", values=NO_YES)
    PWT = Field(3, doc="the root table is written through", values=NO_YES)


class CR3WithPCID(_Root):
    """Control register 3 while cr4.PCIDE is 1."""

    PCID = Field((11, 0), doc="process-context identifier")


class CR3OrPCID(CR3):
    """Control register 3 in 4-level and 5-level paging."""

    @property
    def otherwise(self) -> str:
        return f"PCID {CR3WithPCID(self).PCID:#x} with cr4.PCIDE"


class CR3Narrow(Word):
    """Control register 3 in 32-bit paging."""

    ROOT = Field((31, 12), doc="page directory", scale=PAGE)
    PCD = CR3.PCD
    PWT = CR3.PWT


class CR3PAE(Word):
    """Control register 3 in PAE paging: four entries, which are loaded with it."""

    ROOT = Field((31, 5), doc="page-directory-pointer table", scale=1 << 5)
    PCD = CR3.PCD
    PWT = CR3.PWT


class CR4(Word):
    """Control register 4."""

    LAM_SUP = Field(28, doc="data addresses of supervisor mode are masked too", values=OFF_ON)
    LASS = Field(27, doc="linear-address-space separation", values=OFF_ON)
    UINTR = Field(25, doc="user interrupts", values=OFF_ON)
    PKS = Field(24, doc="protection keys of supervisor-mode addresses", values=OFF_ON)
    CET = Field(23, doc="control-flow enforcement", values=OFF_ON)
    PKE = Field(22, doc="protection keys of user-mode addresses", values=OFF_ON)
    SMAP = Field(21, doc="supervisor mode may not access user-mode addresses", values=OFF_ON)
    SMEP = Field(20, doc="supervisor mode may not execute user-mode addresses", values=OFF_ON)
    KL = Field(19, doc="key locker", values=OFF_ON)
    OSXSAVE = Field(18, doc="XSAVE", values=OFF_ON)
    PCIDE = Field(17, doc="process-context identifiers", values=OFF_ON)
    FSGSBASE = Field(16, doc="user mode may write FS and GS bases", values=OFF_ON)
    SMXE = Field(14, doc="safer mode extensions", values=OFF_ON)
    VMXE = Field(13, doc="virtual-machine extensions", values=OFF_ON)
    LA57 = Field(12, doc="5-level paging", values=OFF_ON)
    UMIP = Field(11, doc="user mode may not read descriptor-table registers", values=OFF_ON)
    OSXMMEXCPT = Field(10, doc="SIMD floating-point exceptions", values=OFF_ON)
    OSFXSR = Field(9, doc="FXSAVE, and SSE", values=OFF_ON)
    PCE = Field(8, doc="user mode may read performance counters", values=OFF_ON)
    PGE = Field(7, doc="global pages", values=OFF_ON)
    MCE = Field(6, doc="machine checks", values=OFF_ON)
    PAE = Field(5, doc="entries of 64 bits", values=OFF_ON)
    PSE = Field(4, doc="pages of 4MB in 32-bit paging", values=OFF_ON)
    DE = Field(3, doc="debugging extensions", values=OFF_ON)
    TSD = Field(2, doc="user mode may not read the time stamp", values=OFF_ON)
    PVI = Field(1, doc="virtual interrupts in protected mode", values=OFF_ON)
    VME = Field(0, doc="virtual interrupts in virtual-8086 mode", values=OFF_ON)


class EFER(Word):
    """Extended Feature Enable Register."""

    AIBRSE = Field(21, doc="automatic IBRS", values=OFF_ON)
    UAIE = Field(20, doc="upper address bits are ignored", values=OFF_ON)
    TCE = Field(15, doc="an invalidation keeps other translations of a table", values=OFF_ON)
    FFXSR = Field(14, doc="fast FXSAVE", values=OFF_ON)
    LMSLE = Field(13, doc="segment limits in long mode", values=OFF_ON)
    SVME = Field(12, doc="secure virtual machines", values=OFF_ON)
    NXE = Field(11, doc="NX", values=OFF_ON)
    LMA = Field(10, doc="long mode is active", values=NO_YES)
    LME = Field(8, doc="long mode is enabled", values=NO_YES)
    SCE = Field(0, doc="SYSCALL", values=OFF_ON)


class EFLAGS(Word):
    """The flags."""

    RES1 = 1 << 1
    ID = Field(21, doc="CPUID is there")
    VIP = Field(20, doc="a virtual interrupt is pending", values=NO_YES)
    VIF = Field(19, doc="virtual interrupts", values=OFF_ON)
    AC = Field(18, doc="SMAP is suspended in supervisor mode", values=NO_YES)
    VM = Field(17, doc="virtual-8086 mode", values=NO_YES)
    RF = Field(16, doc="the next breakpoint is passed over", values=NO_YES)
    NT = Field(14, doc="nested task", values=NO_YES)
    IOPL = Field((13, 12), doc="privilege level of input and output")
    OF = Field(11, doc="overflow")
    DF = Field(10, doc="string operations go down")
    IF = Field(9, doc="interrupts", values=OFF_ON)
    TF = Field(8, doc="single step", values=OFF_ON)
    SF = Field(7, doc="sign")
    ZF = Field(6, doc="zero")
    AF = Field(4, doc="auxiliary carry")
    PF = Field(2, doc="parity")
    CF = Field(0, doc="carry")


class Selector(Word):
    """A segment selector; of cs, RPL is the current privilege level."""

    width = 16
    INDEX = Field((15, 3), doc="descriptor")
    TI = Field(2, doc="table", values={0: "GDT", 1: "LDT"})
    RPL = Field((1, 0), doc="privilege level; of cs, the current one")
