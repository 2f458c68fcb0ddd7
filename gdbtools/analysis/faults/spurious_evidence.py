"""What is known around a fault that the tables explain no more: other CPUs, what was seen and written, the code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gdbtools.addresses import PA
from gdbtools.analysis.faults.belonging import belonging
from gdbtools.analysis.faults.descriptor_history import DescriptorHistory, OwnWrite, Sighting, steps_of
from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.analysis.faults.spurious_causes import change_seen
from gdbtools.analysis.faults.spurious_model import Around, Elsewhere, Pending, RemoteWriter, SeenChange
from gdbtools.analysis.faults.writer import remote_writer, writer
from gdbtools.arch.model import with_memory
from gdbtools.errors import GdbtoolsError
from gdbtools.machine.layers import Patched
from gdbtools.machine.model import Machine
from gdbtools.units import PAGE_BYTES

OwnWrites = Callable[[PA], "OwnWrite | None"]
"""Return the last change that this session made of the descriptor at a physical address."""


def spurious_evidence(machine: Machine, diagnosis: Diagnosis, seen: DescriptorHistory, written: OwnWrites) -> Around:
    """Collect what speaks for one cause or another."""
    architecture, register, read = machine.architecture, machine.register, machine.memory.read
    waiting = architecture.exceptions.pending(register)
    return Around(
        elsewhere=_elsewhere(machine),
        alone=machine.counted and len(machine.cpus) == 1 and bool(diagnosis.entry),
        change=change_since(machine, diagnosis, seen, written),
        writer=writer(architecture, register, read, diagnosis),
        remote=_remote(machine, diagnosis) if architecture.exceptions.fences_are_local else None,
        counted=len(machine.cpus) if machine.counted else 0,
        cpu=machine.current,
        pending=None if waiting is None else Pending(machine.current, waiting),
        near=_near(machine, diagnosis),
    )


def _near(machine: Machine, diagnosis: Diagnosis) -> tuple[int, ...]:
    """Return the other CPUs of the same tables of whose last fault no more than the address is left: in this page."""
    architecture, page, found = machine.architecture, diagnosis.exception.address // PAGE_BYTES, list[int]()
    for cpu in machine.cpus:
        if cpu.number == machine.current or diagnosis.walk is None:
            continue
        try:
            address = architecture.exceptions.last_address(cpu.registers.read)
            root = None if address is None else architecture.regime_for(cpu.registers.read, address).root
        except GdbtoolsError:
            continue
        if address is not None and address // PAGE_BYTES == page and root == diagnosis.walk.regime.root:
            found.append(cpu.number)
    return tuple(found)


def _remote(machine: Machine, diagnosis: Diagnosis) -> RemoteWriter | None:
    """Return another CPU whose code before its pc wrote a descriptor of the walk; None where none did."""
    for cpu in machine.cpus:
        if cpu.number != machine.current:
            found = remote_writer(machine.architecture, cpu.registers.read, machine.memory.read, diagnosis)
            if found is not None:
                return RemoteWriter(cpu.number, found)
    return None


def _elsewhere(machine: Machine) -> list[Elsewhere]:
    """Return the last exceptions of the other CPUs, as far as their registers can be read."""
    architecture = machine.architecture
    found = []
    for cpu in machine.cpus:
        if cpu.number == machine.current:
            continue
        try:
            register = with_memory(cpu.registers.read, machine.memory.read)
            exception = architecture.exceptions.record(register)
            if not belonging(architecture, register, machine.memory.read, exception).joined:
                continue
            regime = architecture.regime_for(register, exception.address, exception.regime)
        except GdbtoolsError:
            continue
        found.append(Elsewhere(cpu.number, exception, regime.root))
    return found


def change_since(
    machine: Machine, diagnosis: Diagnosis, seen: DescriptorHistory, written: OwnWrites
) -> SeenChange | None:
    """Find a descriptor that explained the fault as it was last seen, or before a command of ours changed it."""

    def refuses(sighting: Sighting) -> bool:
        assert diagnosis.walk is not None, "something of its walk was seen"
        regime = diagnosis.walk.regime
        data = sighting.value.to_bytes(regime.entry_bytes, regime.byte_order)
        memory = Patched(machine.memory, sighting.pa, data)
        try:
            then = diagnose(machine.architecture, machine.register, memory.read)
        except GdbtoolsError:
            return False
        return then.verdict is Verdict.TABLES_AGREE

    change = change_seen(diagnosis, seen, refuses)
    for step in steps_of(diagnosis.walk) if diagnosis.walk else ():
        ours = written(step.pa)
        if ours is None or ours.after != int(step.entry.word):
            continue
        sighting = Sighting(step.pa, step.level.number, ours.before, None)
        if ours.here and refuses(sighting):
            # The fault was taken before this stop, and the change made at it.
            return SeenChange(sighting, ours.command, here=True)
        if change is None:
            change = SeenChange(sighting, ours.command) if refuses(sighting) else None
        elif change.seen.pa == step.pa:
            change = replace(change, by=ours.command)
    for step in steps_of(diagnosis.walk) if diagnosis.walk else ():
        write = seen.write(step.pa)
        if write is None or write.after != int(step.entry.word) or (change is not None and change.by):
            continue
        sighting = Sighting(step.pa, step.level.number, write.before, write.cpu)
        if refuses(sighting):
            return SeenChange(sighting, write=write)
    return change
