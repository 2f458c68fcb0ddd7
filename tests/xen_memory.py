"""Memory with a Xen on Arm in it, as far as its guests are found by: structures, its own tables, two second stages."""

from __future__ import annotations

import struct
from pathlib import Path

from gdbtools.addresses import PA
from gdbtools.arch.aarch64 import IDENTITY
from gdbtools.machine.dumps.capture import core_bytes
from tests.arch.aarch64.truth.machine import (
    AF,
    ALL_WRITE_BACK,
    EL2H,
    PAGE,
    S1_ROOT,
    S2_ROOT,
    TABLE,
    TCR_ONE,
    Memory,
    guest,
)

HEAP, DIRECT_MAP = 0x6000_0000, 0x8000_0000_0000
"""Where Xen's heap is, and from which virtual address on it has all of memory."""
DOMAINS = (0x6000_1000, 0x6000_2000)
LOADED_AT, BACK_AT, ARRAY_AT = 0x238, 0x290, 8
"""Within `struct domain`, as a Xen 4.17 of Debian's was seen to have them."""
ROOTS = (S2_ROOT, S2_ROOT + 0x10_0000)
VMIDS = (1, 2)
GUEST_ROOT = 0x4400_0000
"""Of the stage 1 of each guest, in its own addresses."""
SEEN, RAM = 0x4000_1000, (0x7000_0000, 0x7800_0000)
"""A virtual address that each guest maps, and where in the machine each has its memory."""
IPA = 0x4400_0000
HCR = 0x807C_663F
PAGE_BYTES = 4096
SECOND = 0b1111 << 2 | 3 << 6 | 3 << 8 | 1 << 55


def direct(pa: int) -> int:
    return DIRECT_MAP + pa - HEAP


def xen(domain_at: int = 16) -> Memory:
    """Return two domains of a virtual CPU each, and what Xen's own tables map of them.

    `domain_at` is where a `struct vcpu` has the pointer to its domain: 16 bytes into it, from 4.18 on 24.
    """
    memory = Memory()
    for page in range(HEAP, HEAP + 0x8000, PAGE_BYTES):
        memory.stage1(0, va=direct(page), output=page)
    for number, (domain, root, vmid, ram) in enumerate(zip(DOMAINS, ROOTS, VMIDS, RAM, strict=True)):
        array, cpu = HEAP + 0x3000 + number * 64, HEAP + 0x4000 + number * PAGE_BYTES
        memory.words |= {
            domain: number | 1 << 32,
            domain + ARRAY_AT: direct(array),
            domain + LOADED_AT: vmid << 48 | root,
            domain + BACK_AT: direct(domain),
            array: direct(cpu),
            cpu: number << 32,
            cpu + 8: 0,
            cpu + domain_at: direct(domain),
        }
        _second_stage(memory, root, ram)
        _own_stage(memory, ram, vmid)
    return memory


def _second_stage(memory: Memory, root: int, ram: int) -> None:
    """Map 8 pages of a guest from `IPA` on."""
    memory.words[root + (IPA >> 30) * 8] = root + 0x1000 | TABLE
    memory.words[root + 0x1000 + (IPA >> 21 & 511) * 8] = root + 0x2000 | TABLE
    for number in range(8):
        memory.words[root + 0x2000 + number * 8] = ram + number * PAGE_BYTES | PAGE | AF | SECOND


def _own_stage(memory: Memory, ram: int, mark: int) -> None:
    """Map `SEEN` in a guest, to its page 5, in which there is a mark."""
    for number, shift in enumerate((39, 30, 21)):
        memory.words[ram + number * PAGE_BYTES + (SEEN >> shift & 511) * 8] = IPA + (number + 1) * PAGE_BYTES | TABLE
    memory.words[ram + 3 * PAGE_BYTES + (SEEN >> 12 & 511) * 8] = IPA + 5 * PAGE_BYTES | PAGE | AF
    memory.words[ram + 5 * PAGE_BYTES] = mark


def held(number: int, **changes: int) -> dict[str, int]:
    """Return the registers of a CPU that holds a domain and runs it."""
    return {
        **guest(HCR_EL2=HCR, VTTBR_EL2=VMIDS[number] << 48 | ROOTS[number], VMPIDR_EL2=1 << 31),
        "TTBR0_EL1": GUEST_ROOT,
        "TTBR1_EL1": GUEST_ROOT,
        "TCR_EL2": TCR_ONE,
        "TTBR0_EL2": S1_ROOT,
        "MAIR_EL2": ALL_WRITE_BACK,
        **changes,
    }


def at_el2(number: int, **changes: int) -> dict[str, int]:
    """Return those of a CPU that is in Xen itself, and has a domain's registers still."""
    return held(number, cpsr=EL2H, **changes)


def source(path: Path, *cpus: dict[str, int], memory: Memory | None = None, current: int = 0) -> list[str]:
    """Write a capture, and return the words that name it."""
    words = (memory or xen()).words
    pages: dict[PA, bytearray] = {}
    for at, word in words.items():
        page = pages.setdefault(PA(at & -PAGE_BYTES), bytearray(PAGE_BYTES))
        struct.pack_into("<Q", page, at % PAGE_BYTES, word)
    for root in ROOTS:
        pages.setdefault(PA(root + 0x1000), bytearray(PAGE_BYTES))
    kept = {pa: bytes(page) for pa, page in pages.items()}
    path.write_bytes(core_bytes(IDENTITY, cpus, current, kept, machine_has=[(PA(0x4000_0000), 1 << 30)]))
    return ["-s", str(path)]
