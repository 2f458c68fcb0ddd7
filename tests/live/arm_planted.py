"""GDB attached to the AArch32 guest that plants an address space and one access: what it planted, by its own list."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import pytest
from elftools.elf.elffile import ELFFile

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu
from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.live.session import INSIDE, Session
from tests.places import ROOT

ELF = ROOT / "fixtures/guests/arm/planted/planted.elf"
READ, WRITE, EXECUTE, USER_READ = range(4)
"""`enum how` of the guest's main.c."""
SIZES = (1 << 20, 1 << 24, 1 << 16, 1 << 12)
"""Of a section, a supersection, a large page and a small one: `enum shape`."""
BLOCK = 1 << 21
NO_ACCESS_DOMAIN, MANAGER_DOMAIN = 1, 3
"""What the guest's DACR makes of them; the others are clients'."""


@dataclass(frozen=True)
class Mapping:
    """A line of the guest's own list: `struct mapping`."""

    va: int
    pa: int
    shape: int
    count: int
    rights: int
    execute_never: int
    memory: int
    domain: int
    accessed: int
    is_global: int
    privileged_never: int

    @property
    def size_bytes(self) -> int:
        return SIZES[self.shape] * self.count

    def granted(self, user: bool, by_domain: bool) -> str:
        """Return what a level may do, as `map` has it; `by_domain` is whether the domain counts."""
        if by_domain and self.domain in (NO_ACCESS_DOMAIN, MANAGER_DOMAIN):
            return "---" if self.domain == NO_ACCESS_DOMAIN else "rwx"
        may = (("rw", ""), ("rw", "rw"), ("r", ""), ("r", "r"))[self.rights][user]
        never = self.execute_never or (self.privileged_never and not user)
        return "".join(each if each in may else "-" for each in "rw") + ("x" if "r" in may and not never else "-")


@cache
def mappings() -> tuple[Mapping, ...]:
    """Return what the guest plants, out of its image."""
    with ELF.open("rb") as stream:
        elf = ELFFile(stream)
        symbols = elf.get_section_by_name(".symtab")
        assert symbols is not None
        (symbol,) = symbols.get_symbol_by_name("mappings")
        at, size = symbol["st_value"], symbol["st_size"]
        segment = next(
            each for each in elf.iter_segments() if each["p_vaddr"] <= at < each["p_vaddr"] + each["p_memsz"]
        )
        raw = segment.data()[at - segment["p_vaddr"] :][:size]
    return tuple(Mapping(*words) for words in struct.iter_unpack("<11I", raw))


@dataclass(frozen=True)
class PlantedArm(Session):
    """A session on a guest in which everything is planted, and the access is what comes next."""

    qemu: Qemu

    def to_fault(self) -> None:
        """Run to the abort, at its vector entry."""
        self.say("mmu catch any")
        self.say("continue")

    def word(self, pa: int) -> int:
        """Read an entry of the guest's tables, of four bytes, without gdbtools."""
        return int.from_bytes(bytes.fromhex(self.inside(f"peek({pa}, 4)")), "little")


@contextmanager
def planted_arm(gdb: Gdb, machine: str = "virt", **variables: int) -> Iterator[PlantedArm]:
    """A guest of its own, in a GDB that has had others, just before its access, with these variables of it set."""
    try:
        program = packages.qemu("system", "qemu-system-arm").command
    except Unavailable as missing:
        pytest.skip(f"no QEMU for it: {missing}")
    try:
        with Qemu(ELF, 1, "cortex-a15", machine=machine, program=program) as running:
            live = PlantedArm(gdb, running)
            live.say(f"source {INSIDE}")
            live.say("file")
            live.say(f"target remote {running.gdbstub}")
            live.say(f"file {ELF}")
            for name, value in variables.items():
                live.say(f"set var *(unsigned *)&{name} = {value:#x}")
            live.say("hbreak planted")
            live.say("continue")
            live.say("delete")
            yield live
    finally:
        # Without its QEMU a GDB that waits for a guest waits no longer.
        gdb.run("disconnect")
        gdb.run("delete")
