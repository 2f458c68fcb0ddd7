"""Images for audits: a small kernel, its linear map and a process on each architecture, and what may be planted there.

Tables of four levels, of 512 entries each, wherever that is: entries are made bit by bit, so that no Field of ours can
hide its own mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gdbtools.addresses import PA
from gdbtools.arch import ARCHITECTURES
from gdbtools.machine.layers import FixedRegisters, MemoryRange, Ranges
from gdbtools.machine.model import Cpu, Machine
from tests.arch.aarch64.truth import machine as arm

PAGE, MEGA = 1 << 12, 1 << 20
RAM, RAM_BYTES = 0x8000_0000, 16 * MEGA
LOWER, UPPER, SECOND, OTHER = (RAM + number * 0x4000 for number in range(4))
"""Roots: of the lower half, of the upper one, of a second stage, and one more; only Arm has two for the halves."""
FIRST_TABLE = RAM + 0x2_0000
LINEAR, IMAGE, VMALLOC, DEVICE = (
    0xFFFF_8800_0000_0000, 0xFFFF_FFFF_8000_0000, 0xFFFF_C900_0000_0000, 0xFFFF_A000_0000_0000,
)  # fmt: skip
USER_TEXT, USER_DATA, USER_RUN = 0x40_0000, 0x50_0000, 0x60_0000
CODE, DATA, HEAP, FREE = RAM + 14 * MEGA, RAM + 4 * MEGA, RAM + 6 * MEGA, RAM + 9 * MEGA
"""Where the kernel's and the process's code is, which nobody writes; their data; and memory of no use."""
MEMBERS = 16
"""Pages of a contiguous run of 64 KiB."""
SHIFTS = (39, 30, 21, 12)


class Arm:
    """VMSAv8-64 of 4 KiB and 48 bits, with outputs of 36 bits; MAIR: Write-Back, Device, Non-cacheable."""

    name = "aarch64"
    roots: Mapping[bool, int] = {False: LOWER, True: UPPER}
    memory: Mapping[str, int] = {"memory": 0 << 2 | 3 << 8, "device": 1 << 2, "other": 2 << 2 | 3 << 8}

    def table(self, pa: int) -> int:
        return pa | 0b11

    def leaf(self, pa: int, large: bool, kernel: str, user: str, memory: str, accessed: bool, run: bool) -> int:
        who = user if user != "---" else kernel
        ap = (user[0] == "r") << 6 | ("w" not in who) << 7
        never = ("x" not in user) << 54 | ("x" not in kernel) << 53
        kind = (0b01 if large else 0b11) | self.memory[memory] | accessed << 10 | run << 52
        return pa | kind | ap | never

    def second(self, pa: int) -> int:
        return pa | 0b11 | 1 << 10 | 3 << 8 | 0b11 << 6 | 0b1111 << 2

    def registers(self, other: bool) -> dict[str, int]:
        tcr = 16 | 16 << 16 | 0b10 << 30 | 1 << 32
        mair = 0x44_04_FF
        return {
            **arm.el1(), "TTBR0_EL1": OTHER if other else LOWER, "TTBR1_EL1": UPPER, "TCR_EL1": tcr, "MAIR_EL1": mair,
            "VBAR_EL1": IMAGE,
        }  # fmt: skip

    def other_kernel(self) -> dict[str, int]:
        return self.registers(False) | {"TTBR1_EL1": OTHER}

    def guest(self, root: int) -> dict[str, int]:
        return arm.guest(VTTBR_EL2=root, VTCR_EL2=16 | 2 << 6 | 5 << 16 | 1 << 31, SCTLR_EL1=0)

    reserved = 1 << 48
    too_far = 1 << 40


class RiscV:
    """Sv48 with Svpbmt and Svnapot, and without Svadu: software sets A and D."""

    name = "riscv64"
    roots: Mapping[bool, int] = {False: LOWER, True: LOWER}
    memory: Mapping[str, int] = {"memory": 0, "device": 2 << 61, "other": 1 << 61}

    def table(self, pa: int) -> int:
        return pa >> 2 | 1

    def leaf(self, pa: int, large: bool, kernel: str, user: str, memory: str, accessed: bool, run: bool) -> int:
        del large
        who = user if user != "---" else kernel
        may = ("r" in who) << 1 | ("w" in who) << 2 | ("x" in who) << 3 | (user != "---") << 4
        number = (pa & -0x1_0000 | 0x8000 if run else pa) >> 2
        return number | 1 | may | accessed << 6 | 1 << 7 | self.memory[memory] | run << 63

    def second(self, pa: int) -> int:
        return pa >> 2 | 0b1101_1111

    def registers(self, other: bool) -> dict[str, int]:
        root = OTHER if other else LOWER
        return {"satp": 9 << 60 | root >> 12, "menvcfg": 1 << 62, "mstatus": 0, "priv": 1, "stvec": IMAGE}

    def other_kernel(self) -> dict[str, int]:
        return self.registers(True)

    def guest(self, root: int) -> dict[str, int]:
        stages = {"satp": 0, "vsatp": 0, "hgatp": 9 << 60 | root >> 12, "vsstatus": 0, "hstatus": 0, "henvcfg": 0}
        return {**self.registers(False), **stages, "virt": 1}

    reserved = 1 << 54
    too_far = 0


class X86:
    """4-level paging with NX, SMEP and SMAP, and physical addresses of 40 bits; the PAT as at reset."""

    name = "x86_64"
    roots: Mapping[bool, int] = {False: LOWER, True: LOWER}
    memory: Mapping[str, int] = {"memory": 0, "device": 0b11 << 3, "other": 0b01 << 3}

    def table(self, pa: int) -> int:
        return pa | 0b10_0111

    def leaf(self, pa: int, large: bool, kernel: str, user: str, memory: str, accessed: bool, run: bool) -> int:
        del run
        who = user if user != "---" else kernel
        may = 1 | ("w" in who) << 1 | (user != "---") << 2 | ("x" not in who) << 63
        return pa | may | accessed << 5 | 1 << 6 | large << 7 | self.memory[memory]

    def second(self, pa: int) -> int:
        return pa | 0b110_0111

    def registers(self, other: bool) -> dict[str, int]:
        control = {"cr0": 0x8001_0001, "cr4": 1 << 5 | 1 << 20 | 1 << 21, "efer": 0xD00, "eflags": 2}
        width = {"maxphyaddr": 40, "pat": 0x0007_0406_0007_0406, "cs": 0x10}
        return {**control, **width, "cr3": OTHER if other else LOWER}

    def other_kernel(self) -> dict[str, int]:
        return self.registers(True)

    def guest(self, root: int) -> dict[str, int]:
        host = {"ncr3": root, "hcr4": 1 << 5, "hefer": 0xD00}
        return {**self.registers(False), **host, "cr0": 0x1, "cr4": 0, "efer": 0}

    reserved = 0
    too_far = 1 << 45


PLATFORMS = {each.name: each for each in (Arm(), RiscV(), X86())}


@dataclass
class Image:
    """Physical memory with tables in it."""

    platform: Any
    words: dict[int, int] = field(default_factory=dict)
    next_table: int = FIRST_TABLE

    def map(
        self, va: int, pa: int, kernel: str = "rw-", user: str = "---", memory: str = "memory", large: bool = False,
        accessed: bool = True, run: bool = False, root: int | None = None,
    ) -> int:  # fmt: skip
        """Map a page, or 2 MiB; returns where its entry is."""
        entry = self.platform.leaf(pa, large, kernel, user, memory, accessed, run)
        return self.put(self.platform.roots[va >> 63 == 1] if root is None else root, va, entry, 3 if large else 4)

    def second(self, ipa: int, pa: int, root: int) -> int:
        """Map a page of a second stage, with all rights."""
        return self.put(root, ipa, self.platform.second(pa), 4)

    def put(self, root: int, address: int, entry: int, levels: int) -> int:
        """Put an entry at one of the levels on the way of an address, making the tables that lack."""
        table = root
        for shift in SHIFTS[: levels - 1]:
            at = table + (address >> shift & 0x1FF) * 8
            if at not in self.words:
                self.words[at] = self.platform.table(self.next_table)
                self.next_table += PAGE
            word = self.words[at]
            table = (word << 2 if self.platform.name == "riscv64" else word) & 0xFFFF_FFFF_F000
        at = table + (address >> SHIFTS[levels - 1] & 0x1FF) * 8
        self.words[at] = entry
        return at

    def copied(self, indices: range) -> None:
        """Have OTHER lead to the tables that some entries of the root lead to."""
        root = self.platform.roots[indices.start >= 256]
        for index in indices:
            if root + 8 * index in self.words:
                self.words[OTHER + 8 * index] = self.words[root + 8 * index]

    def machine(self, *cpus: Mapping[str, int]) -> Machine:
        data = bytearray(RAM_BYTES)
        for pa, word in self.words.items():
            data[pa - RAM : pa - RAM + 8] = word.to_bytes(8, "little")
        frozen = bytes(data)
        ram = MemoryRange(PA(RAM), RAM_BYTES, lambda offset, size_bytes: frozen[offset : offset + size_bytes])
        architecture = ARCHITECTURES[self.platform.name]
        described = [
            Cpu(number, FixedRegisters(each, "the test"))
            for number, each in enumerate(cpus or (self.platform.registers(False),))
        ]
        return Machine(architecture, Ranges((ram,), "an image"), tuple(described))


def clean(name: str) -> Image:
    """Return an image in which there is nothing to find: a kernel, its linear map, and a process."""
    image = Image(PLATFORMS[name])
    for at in range(0, RAM_BYTES, 2 * MEGA):
        image.map(LINEAR + RAM + at, RAM + at, "rw-" if RAM + at < CODE else "r--", large=True)
    image.map(IMAGE, CODE, "r-x")
    image.map(IMAGE + PAGE, DATA, "rw-")
    image.map(DEVICE, 0x1000_0000, "rw-", memory="device")
    image.map(USER_TEXT, CODE + PAGE, "r--", "r-x")
    image.map(USER_DATA, HEAP, "rw-", "rw-")
    for page in range(MEMBERS):
        run = name != "x86_64"
        image.map(USER_RUN + page * PAGE, HEAP + 0x1_0000 + page * PAGE, "rw-", "rw-", run=run)
    return image


def guests(name: str) -> Image:
    """Return an image of two second stages, at SECOND and OTHER, which share nothing."""
    image = Image(PLATFORMS[name])
    for page in range(4):
        image.second(page * PAGE, HEAP + page * PAGE, SECOND)
        image.second(page * PAGE, FREE + page * PAGE, OTHER)
    return image
