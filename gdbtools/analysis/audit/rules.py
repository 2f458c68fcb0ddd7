"""Every rule of an audit, as data: what has to hold, how bad it is if not, and whose rule it is."""

from __future__ import annotations

from typing import Final

from gdbtools.analysis.audit.findings import Rule, Severity

WRITABLE_EXECUTABLE: Final = Rule(
    "writable-executable",
    Severity.ERROR,
    "no privileged level may execute what it may write",
    "mappings",
    "Linux: CONFIG_DEBUG_WX, `ptdump_check_wx` of mm/ptdump.c",
)
USER_WRITABLE_EXECUTABLE: Final = Rule(
    "user-writable-executable",
    Severity.WARNING,
    "no user may execute what it may write: compilers at run time do so",
    "mappings",
    "SELinux: `execmem` and `execmod`",
)
EXECUTABLE_ALIAS: Final = Rule(
    "executable-alias",
    Severity.ERROR,
    "no memory that a privileged level executes is writable by another address, whoever may write there",
    "executable mappings",
    "Linux: `rodata=full` of arm64 and `cpa_process_alias` of x86 keep the linear map's alias of code read-only",
)
USER_EXECUTABLE_ALIAS: Final = Rule(
    "user-executable-alias",
    Severity.WARNING,
    "no memory that a user executes is writable for a user by another address: compilers at run time do so",
    "executable mappings",
    "SELinux: `execmod`",
)
WRITABLE_TABLE: Final = Rule(
    "writable-table",
    Severity.ERROR,
    "no table is writable for a user or a guest, nor otherwise than by the linear map and the kernel's image",
    "writable mappings",
    "Linux: `pgtable` pages are written by their address in the linear map; Xen: `get_page_type` of PV tables",
)
FOREIGN_FRAME: Final = Rule(
    "foreign-frame",
    Severity.ERROR,
    "every frame that the guest maps leads back to it, or is one that the hypervisor has given it",
    "mappings",
    "Xen: `page_get_owner` and the machine-to-physical table, xen/arch/x86/mm.c",
)
UNRECORDED_TABLE: Final = Rule(
    "unrecorded-table",
    Severity.ERROR,
    "every table that the guest's roots lead to is one by the hypervisor's records, too",
    "tables",
    "Xen: `PGT_l1_page_table` to `PGT_l4_page_table` of xen/arch/x86/mm.c",
)
MISMATCHED_ATTRIBUTES: Final = Rule(
    "mismatched-attributes",
    Severity.WARNING,
    "no memory is mapped with two memory types or shareabilities",
    "mappings",
    'DDI 0487, "Mismatched memory attributes"; Intel SDM volume 3, "Programming the PAT"; RISC-V, Svpbmt',
)
CONTIGUOUS_RUN: Final = Rule(
    "contiguous-run",
    Severity.WARNING,
    "what says that it is part of a contiguous run is: the run is whole, alike and aligned",
    "mappings",
    'DDI 0487, "The Contiguous bit"; RISC-V, Svnapot',
)
RESERVED_BITS: Final = Rule(
    "reserved-bits",
    Severity.WARNING,
    "no entry that is valid has a bit that is reserved, or is of a form that its level does not have",
    "tables",
    'DDI 0487, "VMSAv8-64 translation table format descriptors"; Intel SDM volume 3, "Reserved Bits"; '
    'RISC-V, "Virtual Address Translation Process"',
)
OUTPUT_SIZE: Final = Rule(
    "output-size",
    Severity.WARNING,
    "no entry leads beyond the physical addresses that there are",
    "tables",
    'DDI 0487, "Address size fault"; Intel SDM volume 3, MAXPHYADDR',
)
BEYOND_MEMORY: Final = Rule(
    "beyond-memory",
    Severity.WARNING,
    "what is mapped as memory leads to memory",
    "mappings",
    "Linux: the linear map is made of memblock's memory, and devices are mapped as such by `ioremap`",
)
USER_ACCESSIBLE_KERNEL: Final = Rule(
    "user-accessible-kernel",
    Severity.ERROR,
    "a user may access nothing in the kernel's half",
    "mappings of the upper half",
    "Linux: PAGE_KERNEL of each architecture's pgtable-prot.h or pgtable_types.h",
)
EXECUTABLE_LINEAR_MAP: Final = Rule(
    "executable-linear-map",
    Severity.ERROR,
    "nothing is executable for a privileged level by its address in the linear map",
    "mappings of the linear map",
    "Linux: `map_mem` of arch/arm64/mm/mmu.c, `kernel_physical_mapping_init` of x86, `create_linear_mapping` of riscv",
)
KERNEL_ACCESS_FLAG: Final = Rule(
    "kernel-access-flag",
    Severity.WARNING,
    "what only a kernel may access is marked accessed, where hardware does not do that: kernels have no handler for it",
    "mappings",
    "Linux: PTE_AF in PROT_DEFAULT of arm64, _PAGE_ACCESSED in PAGE_KERNEL of riscv",
)
CPU_DIFFERENCE: Final = Rule(
    "cpu-difference",
    Severity.WARNING,
    "all CPUs have the same mappings in the kernel's half",
    "CPUs",
    "Linux: the kernel's half is shared by every root, `sync_global_pgds` and `vmalloc_sync_mappings`",
)
SHARED_TABLE: Final = Rule(
    "shared-table",
    Severity.WARNING,
    "no two roots share a table of the user's half, or of a second stage, nor both halves one",
    "tables",
    "Linux: tables below the kernel's half belong to one mm; Xen: a p2m belongs to one domain",
)
GUEST_ISOLATION: Final = Rule(
    "guest-isolation",
    Severity.ERROR,
    "no guest reaches memory that another guest has, nor a table of a second stage",
    "mappings of second stages",
    "Xen: p2m_add_page and grants; KVM: Documentation/virt/kvm/arm/hypercalls.rst, memory that pKVM gives to a guest",
)
RULES: Final = (
    WRITABLE_EXECUTABLE,
    USER_WRITABLE_EXECUTABLE,
    EXECUTABLE_ALIAS,
    USER_EXECUTABLE_ALIAS,
    WRITABLE_TABLE,
    USER_ACCESSIBLE_KERNEL,
    EXECUTABLE_LINEAR_MAP,
    KERNEL_ACCESS_FLAG,
    MISMATCHED_ATTRIBUTES,
    BEYOND_MEMORY,
    CONTIGUOUS_RUN,
    RESERVED_BITS,
    OUTPUT_SIZE,
    CPU_DIFFERENCE,
    SHARED_TABLE,
    GUEST_ISOLATION,
    FOREIGN_FRAME,
    UNRECORDED_TABLE,
)
"""All of them, in the order in which they are asked; what asks them is with each kind of system."""
