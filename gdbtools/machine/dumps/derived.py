"""Registers that a source lacks, and that something else in it implies: what is read comes before what is derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Assumption, Privilege, Read
from gdbtools.errors import GIVE_REGISTERS, Unavailable
from gdbtools.machine.layers import FixedRegisters, Overridden
from gdbtools.machine.model import Cpu
from gdbtools.systems import registers_from_notes
from gdbtools.systems.contradicted import contradicted


def with_linux_registers(
    architecture: Architecture, cpus: Sequence[Cpu], info: Mapping[str, str], origin: str, read: Read | None = None
) -> tuple[tuple[Cpu, ...], tuple[Assumption, ...]]:
    """Return the CPUs with what VMCOREINFO implies under what they have, and what that assumes.

    CPUs that have any register of translation are left alone: a half of the one and of the other is no machine.  Where
    memory can be read, the tables that are named have to lead where the note says that the kernel is.
    """
    if not info or any(name in architecture.registers for cpu in cpus for name in _translating(cpu, architecture)):
        return tuple(cpus), ()
    try:
        level = max((_level(cpu, architecture) for cpu in cpus), default=architecture.supervisor)
        derived = registers_from_notes(architecture, info, level)
        register = cpus[0].registers.read if cpus else FixedRegisters({}, origin).read
        wrong = contradicted(architecture, derived, register, read) if read is not None else ""
        if wrong:
            raise Unavailable(f"VMCOREINFO is not believed: {wrong}; {GIVE_REGISTERS}")
    except Unavailable as why:
        # What asks for a register of translation says that there is none; this says why nothing stands in for it.
        return tuple(cpus), (Assumption("", str(why)),)
    under = FixedRegisters(derived.values, origin)
    return tuple(Cpu(cpu.number, _over(cpu, under)) for cpu in cpus), derived.assumed


def _translating(cpu: Cpu, architecture: Architecture) -> Sequence[str]:
    return [name for name in cpu.registers.names() if name not in architecture.general]


def _level(cpu: Cpu, architecture: Architecture) -> Privilege:
    try:
        return architecture.privilege(cpu.registers.read)
    except Unavailable:
        return architecture.supervisor


def _over(cpu: Cpu, under: FixedRegisters) -> Overridden:
    values = {name: cpu.registers.read(name) for name in cpu.registers.names()}
    return Overridden(under, FixedRegisters(values, under.origin))
