"""By what an architecture is known: its names in files, in GDB and in QEMU.  Nothing here decodes anything."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gdbtools.arch.capabilities import Architecture


@dataclass(frozen=True)
class StatusLayout:
    """How a core file of the architecture has a CPU's general registers: Linux's `struct elf_prstatus`.

    Offsets and size in bytes; `names` are the registers in their order, `register_bytes` each.
    """

    size_bytes: int
    pid_offset: int
    registers_offset: int
    names: tuple[str, ...]
    register_bytes: int = 8

    @property
    def registers(self) -> struct.Struct:
        return struct.Struct(f"<{len(self.names)}{'Q' if self.register_bytes == 8 else 'I'}")


@dataclass(frozen=True)
class CpuNote:
    """A note of a core file that has a CPU's system registers: its name and type, and what reads them from it.

    `read` returns none of a note that is none of that layout.
    """

    name: bytes
    kind: int
    read: Callable[[bytes], Mapping[str, int]]


@dataclass(frozen=True)
class Emulator:
    """The QEMU that emulates it: the program, Debian's package, and machines whose RAM may be a file.

    `machine` and `cpu` are what the guests in fixtures/ run on.
    """

    program: str
    package: str
    ram_machines: tuple[str, ...]
    machine: str
    cpu: str
    default_machine: str = ""
    """What it emulates where no machine is named; empty where it then emulates none."""
    never_back_with: str = ""
    """A device, as `info qtree` names it, that has QEMU hang for ever when a replay goes backwards."""
    recorded_with: str = ""
    """The options that leave this device out of a recording and of its replay."""


@dataclass(frozen=True)
class Examples:
    """What help and complaints write where somebody is to write a register: its name, a value of it, and its root's."""

    register: str
    value: str
    root: tuple[str, str]

    @property
    def assignment(self) -> str:
        return f"{self.register}={self.value}"


@dataclass(frozen=True)
class Identity:
    """What an architecture is called, and how it is told from the others.

    `name` is that of captures, of `--arch` and of QEMU; `title` the manual's.  `architecture` imports and returns all
    that is known of it.  `gdb_names` are GDB's; `register_names` matches what its registers are called when somebody
    writes them down, and `constants` those that never change.  `stub_names` are registers that QEMU's gdbstub calls
    otherwise, and `monitor_names` what the monitor's `info registers` calls the general ones.
    """

    name: str
    title: str
    architecture: Callable[[], Architecture]
    gdb_names: tuple[str, ...]
    elf_machine: str
    elf_number: int
    status: StatusLayout
    register_names: re.Pattern[str]
    constants: re.Pattern[str]
    stub_names: Mapping[str, str]
    monitor_names: Mapping[str, str]
    emulator: Emulator
    vector_groups: Mapping[str, tuple[str, ...]]
    """Kinds of vector entries that `set mmu-vectors` has a name for, by the manual's names of the entries."""
    debuggers: tuple[str, ...]
    """GDBs that know it, beside those that know all."""
    examples: Examples
    syndrome: str = ""
    """What it calls the syndrome of an exception: a name by which that may be asked for."""
    cpu_note: CpuNote | None = None
    """What QEMU leaves of a CPU's system registers in a dump, where it does."""
    spellings: frozenset[str] = frozenset()
    """What else people call it, where they say of which architecture a value or a file is."""
    bits: int = 64
    """How wide its registers are: what tells architectures apart that files and registers call the same."""

    def is_constant(self, name: str) -> bool:
        """Return whether a register of that name never changes."""
        return self.constants.match(name) is not None
