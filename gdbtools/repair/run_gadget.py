"""Stepping borrowed instructions, and taking back what the guest's exception entry did when one faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from gdbtools.addresses import VA
from gdbtools.arch.model import ExceptionRecord, Privilege, with_memory
from gdbtools.errors import Refused
from gdbtools.machine.model import Live, Machine
from gdbtools.repair.find_gadget import Loan, find_way_back, way_back_through


def returns(machine: Machine, regime: str | None = None) -> Mapping[Privilege, VA | None]:
    """Find, before it is needed, an exception return for each level that may take a fault: from level to address.

    None stands for a level that needs none, because registers alone send a CPU back.  `regime` is another than the
    CPU's own, if an access is made as there.
    """
    architecture, found = machine.architecture, dict[Privilege, VA | None]()
    for entered in architecture.gadgets.entered(machine.register, regime):
        way = find_way_back(architecture, with_memory(entered, machine.memory.read), machine.memory.read)
        found[architecture.privilege(entered)] = way.through
    return found


def step(
    machine: Machine, live: Live, loan: Loan, back: Mapping[Privilege, VA | None] | None = None
) -> ExceptionRecord | None:
    """Step one borrowed instruction; returns None, or the exception that it raised, which is returned from already.

    `back` are the exception returns found before.  The caller keeps the registers.
    """
    architecture = machine.architecture
    live.step(loan.address, loan.use.registers)
    pc = machine.register(architecture.pc)
    if pc == loan.address + loan.kind.size_bytes:
        return None
    if not architecture.exceptions.entry(machine.register):
        raise Refused(f"the guest's own {loan.use.text} at {loan.address:#x} led to {pc:#x}, which is no vector entry")
    raised = machine.exception()
    level = architecture.privilege(machine.register)
    if back is not None and level in back:
        way = way_back_through(architecture, machine.register, back[level])
    else:
        way = find_way_back(architecture, machine.register, machine.memory.read)
    if way.through is None:
        live.send(way.registers)
    else:
        live.step(way.through, way.registers)
    pc = machine.register(architecture.pc)
    if pc != loan.address:
        by = "these registers" if way.through is None else f"the guest's own exception return at {way.through:#x}"
        raise Refused(f"{by} led to {pc:#x}, not back to {loan.address:#x}")
    return raised


def run(machine: Machine, live: Live, loans: Sequence[Loan]) -> None:
    """Step borrowed instructions that must not fault, one after another, and put every register back."""
    with live.keeping():
        for loan in loans:
            for registers in (loan.use.registers, *loan.use.again):
                raised = step(machine, live, replace(loan, use=replace(loan.use, registers=registers)))
                if raised is not None:
                    raise Refused(
                        f"the guest's own {loan.use.text} at {loan.address:#x} was not executed: "
                        f"{raised.syndrome.name}, taken to {raised.target.label}"
                    )


@contextmanager
def keeping(machine: Machine, live: Live) -> Iterator[None]:
    """Put every register back at the end of the block, and the memory that an exception has written as it was taken."""
    memory = machine.memory
    pushed = machine.architecture.gadgets.pushed(machine.register)
    before = [(pa, memory.read(pa, size_bytes)) for pa, size_bytes in pushed]
    with live.keeping():
        try:
            yield
        finally:
            for pa, data in before:
                if memory.read(pa, len(data)) != data:
                    memory.write(pa, data)
