"""Which address space a question is put to: the one in force, or the kernel's where that one is a reduced one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gdbtools.analysis.faults.overwritten import may_be_overwritten
from gdbtools.analysis.isolation import isolation, vector_entries
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Regime
from gdbtools.commands.guest_frames import guest_wanted
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.layers import with_registers
from gdbtools.machine.model import Machine
from gdbtools.render.document import Role, Span, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import number_of

CURRENT, KERNEL, PV = "current", "kernel", "pv"


@dataclass(frozen=True)
class Spaces:
    """A machine, and what is known of the full space where the one in force is a reduced one."""

    machine: Machine
    isolation: Isolation | None

    @property
    def full(self) -> Machine | None:
        """The machine as it is while the full space is in force; None where that is not proven, or not another."""
        found = self.isolation
        return _in_space(self.machine, found.registers) if found is not None and found.full is not None else None

    @property
    def fullest(self) -> Machine:
        """The machine in the space that has the kernel in it, as far as that is known."""
        return self.full or self.machine

    def hides(self, address: int) -> bool:
        """Return whether an address lies in the reduced range."""
        return self.isolation is not None and self.isolation.reduced.first <= address <= self.isolation.reduced.last

    def chosen(self, space: str | None) -> Machine:
        """Return the machine in the space of that name; raise `Unavailable` for one that is not proven."""
        if space == PV:
            return _in_space(self.machine, guest_wanted(self.machine).kernel)
        if space != KERNEL or self.isolation is None:
            return self.machine
        full = self.full
        if full is None:
            raise Unavailable(limit_text(self.isolation))
        return full


def of_last_exception(spaces: Spaces) -> tuple[Machine, Isolation | None, str]:
    """Return the machine in the space that translated for the last exception, with what is known of a reduced one.

    A privileged level runs in the full space: what it was refused there is asked there, wherever the CPU is by now.
    """
    machine = spaces.machine
    if spaces.isolation is None:
        return machine, None, CURRENT
    exception = machine.exception()
    if not exception.syndrome.address_valid or not spaces.hides(exception.address):
        return machine, None, CURRENT
    if may_be_overwritten(machine.architecture, machine.register, exception):
        # Where it lies says nothing then: the space in force is the one in which that is found out.
        return machine, None, CURRENT
    # The class says so too, and is of the address even where the saved state is of a later exception.
    privileged = exception.origin or exception.syndrome.from_lower is False
    if privileged and spaces.isolation.of_guest:
        # It is the hypervisor's own then, which runs on whichever of its guest's roots is loaded.
        return machine, None, CURRENT
    full = spaces.full if privileged else None
    return (machine, spaces.isolation, CURRENT) if full is None else (full, spaces.isolation, KERNEL)


def size_of(regime: Regime) -> int:
    return regime.last - regime.first + 1


def spaces(machine: Machine, regime: str | None = None) -> Spaces:
    """Look whether the space in force, or that of the regime of that name, is a reduced one."""
    return Spaces(machine, isolation(machine.architecture, machine.register, machine.memory.read, regime))


def in_use(machine: Machine) -> Iterator[tuple[int, Regime]]:
    """Yield every stage that a CPU is using or has loaded, with the CPU's number; one with registers missing has none.

    Of those that are loaded alone, a stage that is off leads nowhere.
    """
    architecture = machine.architecture
    for cpu in machine.cpus:
        read = cpu.registers.read
        try:
            regimes = [*architecture.regimes(read)]
            loaded = [each for name in architecture.loaded(read) for each in architecture.regimes(read, name)]
        except Unavailable:
            continue
        used = [stage for regime in regimes for stage in (regime, regime.below)]
        used += [stage for regime in loaded for stage in (regime, regime.below) if stage is not None and stage.levels]
        yield from ((cpu.number, stage) for stage in used if stage is not None)


def _in_space(machine: Machine, registers: Mapping[str, int]) -> Machine:
    """Return the machine as it is while these registers lead to the kernel's space."""
    return with_registers(machine, registers, "the kernel's space") if registers else machine


def _reduced(found: Isolation) -> str:
    leaves = number_of(found.leaves, "leaf", "leaves")
    return f"{found.reduced.short_name} leads to a reduced space of {leaves}, without the kernel"


def limit_text(found: Isolation) -> str:
    """Return in one line that the kernel is not in this space, and where it is."""
    if found.full is None:
        return f"{_reduced(found)}, and its full root is not proven: {found.evidence[0]}"
    return f"{_reduced(found)}; --space kernel asks its full root, at PA {found.full.root:#x}"


def limit_rows(found: Isolation | None) -> list[tuple[str, Text]]:
    return [] if found is None else [("limited", Span(limit_text(found), Role.WARNING))]


def kernel_rows(found: Isolation | None) -> list[tuple[str, Text]]:
    """Return which root was read for the kernel; nothing where it is the one in force."""
    if found is None or found.full is None:
        return []
    said = f"kernel: {found.reduced.short_name}'s full root, at PA {found.full.root:#x}, not the reduced one in force; "
    return [("space", [said, Span("status", Role.COMMAND), " has the evidence"])]


def space_rows(found: Isolation | None, space: str) -> list[tuple[str, Text]]:
    """Return which space an answer is about, where the one in force is a reduced one."""
    return limit_rows(found) if space == CURRENT else kernel_rows(found)


def evidence_rows(found: Isolation) -> list[tuple[str, Text]]:
    """Return what proves the full root; why nothing does is said where it is missed."""
    return [] if found.full is None else labelled("evidence", found.evidence)


def isolation_record(found: Isolation | None) -> JsonObject | None:
    """Record a reduced space in force: null where there is none."""
    if found is None:
        return None
    return {
        "reduced": found.reduced.name,
        "first": hexadecimal(found.reduced.first),
        "last": hexadecimal(found.reduced.last),
        "root": hexadecimal(found.reduced.root),
        "leaves": found.leaves,
        "full_root": None if found.full is None else hexadecimal(found.full.root),
        "registers": {name: hexadecimal(value) for name, value in found.registers.items()},
        "vectors": [hexadecimal(address) for address in found.entries],
        "evidence": list(found.evidence),
    }


def asked_ranges(found: Spaces, space: str | None, regime: str | None) -> Sequence[tuple[str, Machine, Regime]]:
    """Return the ranges of a question as `all_ranges` has them, the kernel's without what is only its processes'.

    Those are the ranges in front of the one that has its vectors: a kernel in the lower half may have both.
    """
    ranges = all_ranges(found, space, regime)
    if space != KERNEL:
        return ranges
    machine = found.chosen(space)
    entries: Collection[int] = ()
    with suppress(Unavailable, Unreadable):
        entries = vector_entries(machine.architecture, machine.register, machine.memory.read)
    homes = [each.first for _, _, each in ranges if any(each.first <= entry <= each.last for entry in entries)]
    return [each for each in ranges if each[2].first >= min(homes, default=0)]


def all_ranges(found: Spaces, space: str | None, regime: str | None) -> Sequence[tuple[str, Machine, Regime]]:
    """Return each range to be looked at, with its space: those in force, and the full one of a reduced one.

    `space` leaves it at those of one space.
    """
    machine = found.chosen(space)
    named = PV if space == PV else KERNEL if machine is not found.machine else CURRENT
    ranges = [(named, machine, each) for each in machine.architecture.regimes(machine.register, regime)]
    full = found.full if space is None else None
    if full is not None and found.isolation is not None and found.isolation.full is not None:
        ranges.append((KERNEL, full, found.isolation.full))
    return ranges
