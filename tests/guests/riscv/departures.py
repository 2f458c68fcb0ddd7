"""Where QEMU departs from the privileged manual on RISC-V, in which versions, and what the manual has instead.

A difference that is none of these, or one of these in another version, is a failure. Headings are the manual's of
August 2026, where shadow stacks have a step of their own in the translation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

ALL = ("7.2", "10.0", "11.1")
LATER = ("10.0", "11.1")
OLD = ("7.2",)

ONLY_64, ONLY_32 = (64,), (32,)
PROCESS = "Virtual Address Translation Process"
STEP_2, STEP_3, STEP_9 = (f"{PROCESS}, step {number}" for number in (2, 3, 9))
ADDRESSING, TWO_STAGES = "Addressing and Memory Protection", "Two-Stage Address Translation"
GUEST, PMP = "Guest Physical Address Translation", "Physical Memory Protection"
HLV, SHADOW_STACK = "Hypervisor Virtual-Machine Load and Store Instructions", "Shadow Stack Memory Protection"
MASKING = "Memory Accesses Subject to Pointer Masking"
SVNAPOT, SVPBMT = "Svnapot Extension for NAPOT Translation Contiguity", "Svpbmt Extension for Page-Based Memory Types"
MSTATUS, VSSTATUS = "Machine Status (mstatus and mstatush) Registers", "Virtual Supervisor Status (vsstatus) Register"
MENVCFG = "Machine Environment Configuration (menvcfg) Register"
HENVCFG = "Hypervisor Environment Configuration Register (henvcfg)"
MCAUSE, MTVAL2 = "Machine Cause (mcause) Register", "Machine Second Trap Value (mtval2) Register"
MTINST = "Transformed Instruction or Pseudoinstruction for mtinst or htinst"


@dataclass(frozen=True)
class Departure:
    """`rule` is what the manual has instead, under these headings."""

    what: str
    rule: str
    headings: tuple[str, ...]
    versions: tuple[str, ...]
    bits: tuple[int, ...] = (64, 32)

    def concerns(self, version: str, bits: int) -> bool:
        return version in self.versions and bits in self.bits


class Known(Enum):
    GVA_UNSET = Departure(
        "mstatus.GVA stays 0 for an access of M-mode's own, by MPRV and MPV or by HLV",
        "it is 1 for any trap that writes a guest virtual address to mtval",
        (MSTATUS,),
        ("7.2", "10.0"),
    )
    GVA_STAYS = Departure(
        "mstatus.GVA and MPV cannot be written by CSR instructions, and no trap clears GVA",
        "both are writable, and each trap into M-mode writes GVA",
        (MSTATUS,),
        ("11.1",),
    )
    HLVX_FETCH = Departure(
        "HLVX is an instruction fetch for SUM, PMP and the cause, without a guest-page fault",
        "it is a load that needs execute permission, of PMP read permission, too",
        (HLV,),
        LATER,
    )
    GUEST_TABLE = Departure(
        "a G-stage table that PMP or memory refuses, on the way to one of VS-stage, is a guest-page fault",
        "it is an access fault",
        (GUEST, STEP_2),
        ALL,
    )
    GUEST_PAGE = Departure(
        "where both stages are asked, PMP's refusal of a page or of a G-stage table is a guest-page fault",
        "it is an access fault",
        (PMP, STEP_2),
        OLD,
    )
    SATP_DECIDES = Departure(
        "a page fault at VS-stage of M-mode's own access is an access fault where satp is Bare",
        "it is a page fault",
        (TWO_STAGES,),
        OLD,
    )
    NO_GUEST_FAULT = Departure(
        "a guest-page fault by MPRV with MPV has the cause of a page fault, or of an access fault where PMP refused",
        "the access is one of that virtual machine",
        (MSTATUS, GUEST),
        OLD,
    )
    LOAD_OF_TABLE = Departure(
        "a guest-page fault on the way to a table of VS-stage has the cause of a load, whatever was asked for",
        "it has that of the access that was asked for",
        (GUEST,),
        OLD,
    )
    HLVX_LOADS = Departure(
        "HLVX needs read permission, not execute permission",
        "it needs execute permission at both stages, and of PMP both",
        (HLV,),
        OLD,
    )
    SUM_ALWAYS = Departure(
        "for an access of M-mode's own, VS-mode may touch VU-mode's pages whatever SUM says",
        "vsstatus.SUM says",
        (MSTATUS, VSSTATUS),
        OLD,
    )
    MXR_SWAPPED = Departure(
        "MXR at VS-stage is vsstatus' alone, of M-mode's own accesses mstatus' alone, and vsstatus' at G-stage",
        "mstatus.MXR counts at both stages, vsstatus.MXR at VS-stage",
        (TWO_STAGES, MSTATUS),
        OLD,
    )
    NAPOT_AFTER_RIGHTS = Departure(
        "a shadow stack's access fault goes before the page fault of its N bit, which has a reserved encoding",
        "an encoding that is reserved is refused first",
        (STEP_3,),
        ("11.1",),
        ONLY_64,
    )
    MXR_OF_TABLES = Departure(
        "mstatus.MXR counts at G-stage for reading a table of VS-stage",
        "it makes execute-only pages readable by explicit loads",
        (TWO_STAGES, HLV),
        LATER,
    )
    MASKED_UNDER_MXR = Departure(
        "in VS- and VU-mode pointers are masked though mstatus.MXR is set",
        "pointer masking does not apply while MXR is in effect",
        (MASKING,),
        ("11.1",),
        ONLY_64,
    )
    SHADOW_STACK_OWN = Departure(
        "there is no shadow stack for an access of M-mode's own: the encoding is reserved",
        "menvcfg.SSE, and henvcfg.SSE at VS-stage, make it a shadow stack",
        (SHADOW_STACK,),
        LATER,
    )
    SHADOW_STACK_USER = Departure(
        "senvcfg.SSE says for U- and VU-mode whether an entry is a shadow stack's",
        "menvcfg.SSE, and henvcfg.SSE at VS-stage, do; senvcfg.SSE is about instructions",
        (SHADOW_STACK,),
        LATER,
    )
    SIGNED_GPA = Departure(
        "a guest physical address is taken for sign-extended",
        "it has no sign, and all bits above are 0",
        (GUEST,),
        OLD,
        ONLY_64,
    )
    SHORT_GPA = Departure(
        "on riscv32 a guest physical address has 32 bits",
        "it has 34",
        (GUEST,),
        OLD,
        ONLY_32,
    )
    NAPOT_LATE = Departure(
        "A and D are set in an entry whose N bit has a reserved encoding, before it is refused",
        "it is refused first",
        (SVNAPOT, STEP_3),
        ("7.2", "10.0"),
        ONLY_64,
    )
    TABLE_TOLD = Departure(
        "mtval2 tells the guest physical address at an access fault of G-stage, where no memory is for a table",
        "it is 0 but for a guest-page fault",
        (MTVAL2,),
        ("11.1",),
    )
    SHORT_PA = Departure(
        "on riscv32 what is touched has 32 bits of its address",
        "it has 34",
        (ADDRESSING,),
        OLD,
        ONLY_32,
    )
    WRITE_BY_CAUSE = Departure(
        "mtinst says write of a VS-stage table for every store",
        "0x3020 is for a table's entry that was to be updated, 0x3000 for one that was read",
        (MTINST,),
        ("11.1",),
    )
    TABLE_MISSING = Departure(
        "a table where no memory is, is a page fault",
        "it is an access fault",
        (STEP_2,),
        ("7.2", "10.0"),
    )
    AMO_LOADS = Departure(
        "an AMO is translated as a load first and then as a store",
        "it is one access, and what VS-stage refuses goes before G-stage",
        (PROCESS, TWO_STAGES),
        LATER,
    )
    AMO_LOAD_CAUSE = Departure(
        "an AMO that may not read raises a load's exception",
        "AMOs never raise load exceptions",
        (MCAUSE,),
        ("7.2",),
    )
    MENVCFG_ALONE = Departure(
        "menvcfg alone enables A and D updates and memory types at VS-stage for an access of M-mode's own",
        "henvcfg does",
        (HENVCFG,),
        LATER,
    )
    TYPE_3 = Departure("PBMT=3 is accepted", "it is reserved", (SVPBMT,), ("10.0",), ONLY_64)
    TYPE_ENABLED = Departure(
        "a memory type is accepted without PBMTE",
        "each but 0 is reserved then",
        (SVPBMT, MENVCFG),
        OLD,
        ONLY_64,
    )
    RESERVED_BITS = Departure(
        "bits 60 to 54 of an entry are ignored",
        "they are reserved, and the entry is refused if one is set",
        (ADDRESSING, STEP_3),
        OLD,
        ONLY_64,
    )
    UPDATE_UNCHECKED = Departure(
        "an update of A and D at VS-stage asks neither G-stage nor PMP whether it may write",
        "it is an implicit store",
        (GUEST, STEP_9),
        ("7.2", "10.0"),
    )
