"""What if: the same question with registers or descriptors changed on paper, and nothing written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gdbtools.addresses import PA
from gdbtools.arch.model import Step
from gdbtools.arch.walk import walk
from gdbtools.commands.model import DescriptorChange, RegisterChange
from gdbtools.commands.spaces import KERNEL, Spaces, spaces
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.layers import Patched, with_registers
from gdbtools.machine.model import Machine, PhysicalMemory
from gdbtools.render.document import Span, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.spelling import did_you_mean, with_field


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """What every command is asked that answers for a machine as it is not."""

    with_: Sequence[RegisterChange] = ()
    pte: Sequence[DescriptorChange] = ()


@dataclass(frozen=True)
class Supposition:
    """One thing taken for something else: a register, or a field of one, or of the descriptor at `pa`.

    `before` is what it is; None where the source does not have it.
    """

    what: str
    before: int | None
    after: int
    pa: PA | None = None


@dataclass(frozen=True)
class Supposed:
    """A machine as it would be, and in what it differs from the one there is.

    `spaces` has the machine in the space in force, and what is known of the kernel's; `machine` is that in the space
    that was asked for.
    """

    machine: Machine
    suppositions: tuple[Supposition, ...]
    spaces: Spaces


def suppose(
    machine: Machine,
    asked: WhatIf,
    regime: str | None = None,
    space: str | None = None,
    root: int | None = None,
) -> Supposed:
    """Return the machine that the options suppose: `root` is `--root`; registers first, then descriptors in order.

    Descriptors are those of `space`; where that is left open, of the kernel's for what only that maps.
    Raises `UsageError` for a register or a field that there is not, and where `root` and a register exclude each other.
    """
    made: list[Supposition] = []
    rooted = {} if root is None else machine.architecture.rooted(machine.register, regime, root)
    for name, value in rooted.items():
        made.append(Supposition(name, _known(machine, name), value))
        machine = _with_value(machine, name, value)
    for change in asked.with_:
        machine, supposition = _with_register(machine, change)
        if supposition.what in rooted:
            raise UsageError(f"--root and --with both say what {supposition.what} would be; leave one out")
        made.append(supposition)
    found = spaces(machine, regime)
    memory = machine.memory
    for each in asked.pte:
        hidden = space is None and found.hides(each.address) and found.full is not None
        used = found.chosen(KERNEL if hidden else space)
        memory, supposition = _with_descriptor(replace(used, memory=memory), each, regime)
        made.append(supposition)
    found = replace(found, machine=replace(machine, memory=memory))
    return Supposed(found.chosen(space), tuple(made), found)


def with_registers_changed(machine: Machine, changes: Sequence[RegisterChange]) -> Machine:
    """Return the machine with registers otherwise; raise `UsageError` for a register or a field that there is not."""
    for each in changes:
        machine, _ = _with_register(machine, each)
    return machine


def _with_register(machine: Machine, change: RegisterChange) -> tuple[Machine, Supposition]:
    declared = {name.lower(): name for name in machine.architecture.registers}
    name = declared.get(change.register.lower())
    if name is None:
        like = machine.architecture.identity.examples.register
        ending = machine.architecture.suffix(machine.architecture.supervisor)
        raise UsageError(
            f"{change.register} is not a register that is decoded here; "
            + did_you_mean(change.register, declared.values(), f"write its whole name, like {like}", ending)
        )
    before = _known(machine, name)
    if change.field is None:
        return _with_value(machine, name, change.value), Supposition(name, before, change.value)
    architecture = machine.architecture
    word = architecture.stand_in(name) if before is None else architecture.word(name, machine.register)
    if word is None:
        raise Unavailable(
            f"the source has no {name} of which a field could be otherwise; give all: --with {name}=0x..."
        )
    value = int(with_field(word, change.field, change.value, name))
    field = word.field(change.field)
    supposition = Supposition(f"{name}.{field.name}", None if before is None else field.of(word), change.value)
    return _with_value(machine, name, value), supposition


def _with_value(machine: Machine, name: str, value: int) -> Machine:
    return with_registers(machine, {name: value}, "what was supposed")


def _known(machine: Machine, name: str) -> int | None:
    try:
        return machine.register(name)
    except Unavailable:
        return None


def _with_descriptor(
    machine: Machine, change: DescriptorChange, regime: str | None
) -> tuple[PhysicalMemory, Supposition]:
    used = machine.architecture.regime_for(machine.register, change.address, regime)
    found = walk(used, change.address, machine.memory.read)
    step: Step | None = found.steps[-1] if found.steps else None
    if step is None:
        raise UsageError(f"{change.address:#x} has no descriptor to change: `walk` says why")
    word = step.entry.word
    whose = f"the level {step.level.number} descriptor of {change.address:#x}"
    after = with_field(word, change.field, change.value, whose)
    field = word.field(change.field)
    raw = int(after).to_bytes(used.entry_bytes, used.byte_order)
    what = f"{field.name} of the level {step.level.number} descriptor at PA {step.pa:#x}"
    memory = Patched(machine.memory, step.pa, raw)
    return memory, Supposition(what, field.of(word), change.value, step.pa)


def supposition_rows(suppositions: Sequence[Supposition]) -> list[tuple[str, Text]]:
    """Show what was supposed, so that no such answer is taken for one about the guest as it is."""
    return [("supposing", [Span(each.what), f" = {each.after:#x}{_was(each)}"]) for each in suppositions]


def _was(supposition: Supposition) -> str:
    return " (the source does not have it)" if supposition.before is None else f" (it is {supposition.before:#x})"


def supposition_records(suppositions: Sequence[Supposition]) -> list[JsonObject]:
    return [
        {
            "what": each.what,
            "before": None if each.before is None else hexadecimal(each.before),
            "after": hexadecimal(each.after),
        }
        for each in suppositions
    ]
