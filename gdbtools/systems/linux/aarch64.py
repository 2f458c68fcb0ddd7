"""What a Linux kernel says of its own tables, for dumps that have no system registers, and where it keeps them.

VMCOREINFO is text that the kernel writes for crash dumps: `NUMBER(TCR_EL1_T1SZ)=0x10`, `SYMBOL(swapper_pg_dir)=...`.
Source: Linux, `kernel/vmcore_info.c`, `arch/arm64/kernel/vmcore_info.c` and `Documentation/admin-guide/kdump/
vmcoreinfo.rst`; for what is assumed, `arch/arm64/mm/proc.S` and `arch/arm64/include/asm/sysreg.h` (MAIR_EL1_SET).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.aarch64.exceptions import record
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2
from gdbtools.arch.aarch64.registers.processor_state import VBAR
from gdbtools.arch.aarch64.registers.translation import MAIR, SCTLR, TCR_EL1, TG1_GRANULE
from gdbtools.arch.aarch64.tables.geometry import GRANULE_BITS, MINIMUM_TnSZ
from gdbtools.arch.aarch64.translation.isolation import ttbr1_name
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.isolation import Switch
from gdbtools.arch.model import Assumption, Derived, EntryNeed, Privilege, ReadRegister, Regime, Step, optional
from gdbtools.bits import Field
from gdbtools.errors import GIVE_REGISTERS, Unavailable
from gdbtools.systems.linux import USERS_HELPERS
from gdbtools.systems.linux.notes import number, placed, release_of
from gdbtools.systems.system import System

if TYPE_CHECKING:
    from gdbtools.systems.tasks import OwnKernel, ReadVirtual

TG1_OF_BYTES: Final = {1 << GRANULE_BITS[name]: code for code, name in TG1_GRANULE.items() if name in GRANULE_BITS}
OUTPUT_SIZE: Final = {48: 0b101, 52: 0b110}
# MT_NORMAL, MT_NORMAL_TAGGED, MT_NORMAL_NC, MT_DEVICE_nGnRnE, MT_DEVICE_nGnRE: Linux 5.11 and later.
NORMAL_MAIR: Final = MAIR(0).with_(Attr0=0xFF, Attr1=0xFF, Attr2=0x44, Attr3=0x00, Attr4=0x04)
MAIR_SINCE: Final = (5, 11)
_ADDRESSES: Final = 1 << 64
# KASAN_SHADOW_OFFSET: since 5.12, from 5.4 on, and before; of 48-bit addresses.
_SHADOWS: Final = (0xDFFF_8000_0000_0000, 0xDFFF_A000_0000_0000, 0xDFFF_2000_0000_0000)
_UPPER: Final = Field(55)
_TAGGED: Final = Field((63, 60))
_TAG: Final = Field((59, 56))
_NIBBLE: Final = 0xF
_PER_CPU_ALIGNMENT: Final = 1 << 12
# Debian's images have 30 MB from the vectors to the end.
_IMAGE_BYTES: Final = 1 << 25
# vmlinux.lds.S: tramp_pg_dir, then reserved_pg_dir, then swapper_pg_dir; the middle one is not in every kernel.
_SWAPPER_PAGES: Final = (2, 1)


def registers_of(info: Mapping[str, str], el: int) -> Derived:
    """Derive the registers of TTBR1's range from VMCOREINFO, `el` being where the kernel was running.

    Nothing in it leads to a process's own tables: walks through TTBR0 are disabled.  Raises `Unavailable` where what
    is needed is not in it.
    """
    page_bytes = number(info, "PAGESIZE")
    t1sz = number(info, "NUMBER(TCR_EL1_T1SZ)")
    offset = number(info, "NUMBER(kimage_voffset)")
    root = number(info, "SYMBOL(swapper_pg_dir)", 16) - offset & _ADDRESSES - 1
    if page_bytes not in TG1_OF_BYTES:
        raise Unavailable(f"VMCOREINFO has PAGESIZE={page_bytes}, which is no granule; {GIVE_REGISTERS}")
    bits = number(info, "NUMBER(MAX_PHYSMEM_BITS)") if "NUMBER(MAX_PHYSMEM_BITS)" in info else 48
    # Without FEAT_LPA2 no range of 4KB or 16KB pages is larger, and Linux sets DS only for the larger one.
    wide = t1sz < MINIMUM_TnSZ and page_bytes < 1 << GRANULE_BITS["64KB"]
    control = TCR_EL1(0).with_(
        T1SZ=t1sz, TG1=TG1_OF_BYTES[page_bytes], DS=wide, EPD0=1, IPS=OUTPUT_SIZE.get(bits, 0b101)
    )
    suffix = "EL2" if el == 2 else "EL1"
    values = {
        f"TTBR1_{suffix}": root,
        f"TTBR0_{suffix}": 0,
        f"TCR_{suffix}": int(control),
        f"SCTLR_{suffix}": int(SCTLR(0).with_(M=1, C=1, I=1)),
        **({"HCR_EL2": int(HCR_EL2(0).with_(E2H=1, TGE=1))} if el == 2 else {}),
    }
    release = info.get("OSRELEASE", "unknown")
    ttbr, tcr, sctlr, mair = (f"{name}_{suffix}" for name in ("TTBR1", "TCR", "SCTLR", "MAIR"))
    granule = TG1_GRANULE[TG1_OF_BYTES[page_bytes]]
    implied = f"{tcr}: DS={int(wide)} as T1SZ and TG1 imply, IPS of {bits} bits, EPD0=1 because VMCOREINFO does not "
    assumed = [
        Assumption(ttbr, f"{ttbr}={root:#x}, {tcr}.T1SZ={t1sz}, TG1={granule}: from VMCOREINFO of Linux {release}"),
        Assumption(tcr, f"{implied}lead to a process's tables"),
        Assumption(sctlr, f"{sctlr}: M=1, C=1, WXN=0, EE=0"),
    ]
    if el == 2:
        assumed.append(Assumption("HCR_EL2", "HCR_EL2: E2H=1, TGE=1, because the kernel runs at EL2"))
    if release_of(release) >= MAIR_SINCE:
        values[mair] = int(NORMAL_MAIR)
        since = ".".join(map(str, MAIR_SINCE))
        assumed.append(Assumption(mair, f"{mair}={int(NORMAL_MAIR):#x}, as Linux sets it since {since}"))
    places = placed(info, lambda address: address - offset & _ADDRESSES - 1)
    return Derived(values, tuple(assumed), "el2-vhe" if el == 2 else "el1", places)


def full_roots(ttbr1: str, value: int, page_bytes: int) -> tuple[Switch, ...]:
    """Return where the kernel's root may be while that of its trampoline (tramp_pg_dir) is in TTBR1.

    Source: Linux, `arch/arm64/kernel/vmlinux.lds.S` and `TRAMP_SWAPPER_OFFSET` in `arch/arm64/include/asm/mmu.h`.
    """
    return tuple(
        Switch({ttbr1: value + pages * page_bytes}, {}, f"Linux keeps swapper_pg_dir {pages * page_bytes:#x} behind it")
        for pages in _SWAPPER_PAGES
    )


def reduced_roots(ttbr1: str, value: int, page_bytes: int) -> tuple[Mapping[str, int], ...]:
    """Return where the trampoline's root (tramp_pg_dir) may be while the kernel's own is in TTBR1."""
    return tuple({ttbr1: value - pages * page_bytes} for pages in _SWAPPER_PAGES if value > pages * page_bytes)


class Linux(System):
    """Linux on AArch64."""

    title = "Linux"
    # PTE_DIRTY in arch/arm64/include/asm/pgtable-prot.h.
    dirty = DirtyConvention.BIT55
    # arch/arm64/kernel/entry.S: kernel_exit saves x29 in FAR_EL1, and tramp_exit takes it from there before its ERET.
    left_in_address = "x29"
    notes_have = "NUMBER(kimage_voffset)"
    # The same file, tramp_ventry: it branches to the kernel's own entry by x30, whose value is in TPIDRRO_EL0.
    spent_at_entry = frozenset(("x30",))
    # arch/arm64/kvm/sys_regs.c: reset_unknown(), for what the manual has UNKNOWN after a reset.
    fresh = frozenset((0x1DE7_EC7E_DBAD_C0DE,))

    users_helpers = USERS_HELPERS

    def of_address(self, address: VA) -> str:
        from gdbtools.systems.linux import poison  # only an address that faulted needs it

        tag = _TAG.of(address)
        said = poison.named(address, _SHADOWS)
        if not said and _UPPER.of(address) and _TAGGED.of(address) == _NIBBLE and tag != _NIBBLE:
            return f"it has the tag {tag:#x} in bits 59 to 56, which KASAN or MTE compares"
        return said

    def of_entry(self, address: VA, step: Step) -> str:
        from gdbtools.systems.linux import aarch64_entries  # only an entry that refuses needs it

        return aarch64_entries.absent(address, int(step.entry.word), step.level.number)

    def flag_habit(self, of_kernel: bool) -> str:
        return "Linux has a handler for user addresses" + (", and dies of a kernel's" if of_kernel else "")

    def registers_from_notes(self, info: Mapping[str, str], privilege: Privilege) -> Derived:
        return registers_of(info, privilege)

    def own_kernel(self, info: Mapping[str, str], read: ReadVirtual) -> OwnKernel:
        from gdbtools.systems.linux.kernel.own import OwnLinux  # only such a question needs it
        from gdbtools.systems.linux.kernel.regions import of_aarch64

        return OwnLinux.of_notes(info, read, of_aarch64)

    def task_registers(self, register: ReadRegister, root: PA) -> Mapping[str, int]:
        """TTBR0, and its walks enabled; its range is as wide as the kernel's where nobody says otherwise."""
        upper = ttbr1_name(register, None)
        name = upper.replace("TTBR1", "TCR")
        control = TCR_EL1(register(name))
        width = control.T0SZ or control.T1SZ
        return {upper.replace("TTBR1", "TTBR0"): int(root), name: int(control.with_(EPD0=0, T0SZ=width))}

    def full_roots(self, register: ReadRegister, reduced: Regime, name: str | None) -> Sequence[Switch]:
        ttbr1 = ttbr1_name(register, name)
        return full_roots(ttbr1, register(ttbr1), reduced.levels[-1].size_bytes)

    def reduced_roots(self, register: ReadRegister, full: Regime) -> Sequence[Mapping[str, int]]:
        ttbr1 = ttbr1_name(register, None)
        return reduced_roots(ttbr1, register(ttbr1), full.levels[-1].size_bytes)

    def entry_needs(self, register: ReadRegister) -> Sequence[EntryNeed]:
        target = record.target(register)
        vectors = VBAR(register(f"VBAR_EL{target}")).VBA
        found = per_cpu_data(vectors, optional(register, f"TPIDR_EL{target}"))
        return () if found is None else (EntryNeed(VA(found[0]), found[1], "Linux's per-CPU data"),)


LINUX: Final = Linux()


def per_cpu_data(vectors: int, offset: int | None) -> tuple[int, int] | None:
    """Return where a CPU's per-CPU data may be, (first, size in bytes); None where nothing says that this is Linux.

    TPIDR_EL1 is what is added to the address of a per-CPU symbol, which the kernel's image has behind its vectors: a
    multiple of the page, and so is no other guest's that is known here.  Source: Linux, `arch/arm64/include/asm/
    percpu.h`; the vectors are in `.entry.text`, early in the image, `.data..percpu` comes late in it.
    """
    if not offset or offset % _PER_CPU_ALIGNMENT or not vectors >> 55 & 1:
        return None
    return (vectors + offset) % _ADDRESSES & -_PER_CPU_ALIGNMENT, _IMAGE_BYTES
