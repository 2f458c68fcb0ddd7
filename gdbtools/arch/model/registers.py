"""Registers as an architecture is asked for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gdbtools.errors import Unavailable

if TYPE_CHECKING:
    from gdbtools.addresses import PA, VA
    from gdbtools.arch.model.walk import Read

ReadRegister = Callable[[str], int]
"""Return a register's unsigned value by its architectural name, or raise `Unavailable`."""


@dataclass(frozen=True, slots=True)
class CpuRegisters:
    """The registers of a CPU with the physical memory that it sees: a `ReadRegister` that `memory_of` knows more of.

    Memory is read only by an architecture that keeps there what others have in registers.
    """

    read_register: ReadRegister
    read: Read

    def __call__(self, name: str) -> int:
        return self.read_register(name)


def memory_of(register: ReadRegister) -> Read:
    """Return what reads the memory of the CPU whose registers these are; raise `Unavailable` where nobody said it."""
    if isinstance(register, CpuRegisters):
        return register.read
    raise Unavailable("of this CPU there are registers only, and what is wanted is in memory")


def optional(register: ReadRegister, name: str) -> int | None:
    """Return a register's value; None where the source lacks it."""
    try:
        return register(name)
    except Unavailable:
        return None


def written_down(values: Mapping[str, int]) -> ReadRegister:
    """Return registers that have these values, and of which nobody has said another."""

    def register(name: str) -> int:
        if name not in values:
            raise Unavailable(f"nobody has said what {name} is")
        return values[name]

    return register


def by_cpu(printed: str) -> Mapping[int, str]:
    """Return what `info registers -a` of QEMU's monitor prints of each CPU, by its number."""
    _, *parts = _CPU.split(printed)
    return dict(zip(map(int, parts[::2]), parts[1::2], strict=True))


def with_memory(register: ReadRegister, read: Read) -> CpuRegisters:
    """Return registers whose CPU sees this memory."""
    return CpuRegisters(register.read_register if isinstance(register, CpuRegisters) else register, read)


_CPU: Final = re.compile(r"^CPU#(\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Stub:
    """What a gdbstub tells of one CPU, `number`, as it tells it, and what else may be asked there.

    `register` returns None for a register that it lacks.  `monitor` returns what a command of QEMU's monitor prints,
    `version` what QEMU's is; both are empty where there is no monitor to ask.
    """

    number: int
    register: Callable[[str], int | None]
    monitor: Callable[[str], str]
    version: Callable[[], str]

    def printed(self) -> str:
        """Return what `info registers` of the monitor says of this CPU; empty where there is none to ask."""
        return by_cpu(self.monitor("info registers -a")).get(self.number, "")


@dataclass(frozen=True, slots=True)
class Assumption:
    """What was taken for granted, in words; `about` is the register whose value it is, or empty where it is of none."""

    about: str
    text: str


@dataclass(frozen=True)
class Derived:
    """Registers that nobody read: their values, and where each comes from or what was taken for granted.

    `regime` is the one that they are of, where it is one.  `places` is where some virtual addresses are in memory by
    what implies the registers, and not by the tables: those have to lead there too.
    """

    values: Mapping[str, int]
    assumed: tuple[Assumption, ...]
    regime: str | None = None
    places: Mapping[VA, PA] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Brief:
    """The fields that say most of a register: `always`, and those that say something while they are not 0."""

    always: tuple[str, ...]
    if_set: tuple[str, ...] = ()
