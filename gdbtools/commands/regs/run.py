"""`regs`: the translation and fault registers: those in force on one screen, or every field named and explained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Brief
from gdbtools.bits import NO_YES, OFF_ON, FieldValue, Word
from gdbtools.commands.session import Session
from gdbtools.commands.syndrome.view import sentence
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.layers import FixedRegisters, with_registers
from gdbtools.machine.model import Cpu, Machine
from gdbtools.numbers import Literal, word
from gdbtools.spelling import did_you_mean

_ASSIGNED: Final = re.compile(r"\s*([A-Za-z]\w*(?:\.\w+)?)\s*[=:]\s*(\w+)[\s,;]*")


_PLAIN: Final = {*OFF_ON.values(), *NO_YES.values()}


_GIVEN: Final = "what was given"
"""Where the registers come from whose values stand on the command line."""
_SMALL_BITS: Final = 6


_ATTRIBUTE_BITS: Final = 8


@dataclass(frozen=True)
class Register:
    """A register's value, decoded; `word` is None where this source does not have it, and `why` says so.

    `one` is the field that was asked for, None for all.  `brief` is what an overview says of it: None where the answer
    is no overview, empty where it has no place in one.  `notes` are how its value was read, where that was given.
    """

    name: str
    word: Word | None
    why: str = ""
    one: FieldValue | None = None
    brief: str | None = None
    notes: tuple[str, ...] = ()
    place: int | None = None
    """Where an overview has it."""


def is_assignment(text: str) -> bool:
    """Return whether a word gives a register its value, like NAME=0x..."""
    return "=" in text or ":" in text


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `regs`, as `declared` has it."""

    name: Sequence[str] = ()
    all: bool = False


def sourceless(options: Options) -> bool:
    return bool(options.name) and all("=" in each or ":" in each for each in options.name)


def run(session: Session, options: Options) -> Sequence[Register]:
    """Read the named registers, or all that are declared and present; one that was named must be there."""
    if not options.name:
        return _everything(session.machine, brief=not options.all)
    given = list(_given(session.machine, [each for each in options.name if is_assignment(each)]))
    for name, literal in given:
        _check_width(session.machine.architecture, name, literal.value)
    machine = _with(session.machine, {name: literal.value for name, literal in given})
    answers = [replace(_read(machine, name), notes=_notes(machine, name, literal)) for name, literal in given]
    for text in options.name:
        if not is_assignment(text):
            answers.append(_named(machine, text))
    return answers


def _everything(machine: Machine, brief: bool) -> Sequence[Register]:
    architecture = machine.architecture
    found = [_read_or_why(machine, name) for name in architecture.principal]
    present = [each for each in found if each.word is not None]
    if not present:
        raise Unavailable(found[0].why)
    if not brief:
        return present
    wanted = [name for name in architecture.in_force(machine.register) if any(each.name == name for each in present)]
    order = {name: at for at, name in enumerate(wanted or [each.name for each in present])}
    return [replace(each, brief=_brief(architecture, each), place=order.get(each.name)) for each in present]


def _named(machine: Machine, text: str) -> Register:
    """Read REGISTER, or REGISTER.FIELD."""
    name, _, wanted = text.partition(".")
    found = _read(machine, _known(machine, name, text))
    if not wanted:
        return found
    assert found.word is not None, "it was read"
    try:
        field = found.word.field(wanted)
        return replace(found, one=FieldValue(field, field.of(found.word)))
    except KeyError:
        fields = [each.name for each in found.word.fields()]
        advice = did_you_mean(wanted, fields, f"`regs {found.name}` shows those that it has")
        raise UsageError(f"{found.name} has no field {wanted}; {advice}") from None


def _known(machine: Machine, text: str, given: str = "") -> str:
    """Return the name of a register; one without a level is that of the CPU's own.  `given` is all that was written."""
    architecture = machine.architecture
    try:
        level = architecture.privilege(machine.register) or architecture.supervisor
    except Unavailable:
        level = architecture.supervisor
    name = architecture.register_name(text, level)
    if name is None or name not in architecture.registers:
        advice = did_you_mean(
            text, architecture.registers, "`regs --all` shows those that are", architecture.suffix(level)
        )
        raise UsageError(f"{given or text} is not a register that is decoded here; {advice}")
    return name


def _whole(machine: Machine, text: str) -> str:
    """Return the name of a register that is given a value, all of it: a field alone leaves the others open."""
    name, _, field = text.partition(".")
    if field and name.lower() in map(str.lower, machine.architecture.registers):
        raise UsageError(
            f"{text} is a field, and a register is decoded whole: write {name}=VALUE; to ask as if {field} were "
            f"otherwise: walk ADDRESS --with {text}=VALUE"
        )
    return _known(machine, text)


def _given(machine: Machine, words: Sequence[str]) -> Iterator[tuple[str, Literal]]:
    """Yield the registers that NAME=VALUE gives, as logs print them, too: several in a word, with spaces or commas."""
    for text in words:
        end = 0
        for found in _ASSIGNED.finditer(text):
            if found.start() != end:
                break
            end = found.end()
            yield _whole(machine, found[1]), word(found[2])
        if end != len(text):
            like = machine.architecture.identity.examples.assignment
            raise UsageError(f"{text!r} gives no register a value; write NAME=VALUE, like {like}")


def _check_width(architecture: Architecture, name: str, value: int) -> None:
    width = architecture.registers[name].width
    if value >> width:
        raise UsageError(f"{name} of {architecture.identity.title} has {width} bits, and {value:#x} does not fit")


def _with(machine: Machine, values: Mapping[str, int]) -> Machine:
    """Return the machine with registers that were given; they are all there is where there is no source."""
    if machine.cpus:
        return with_registers(machine, values, _GIVEN)
    return replace(machine, cpus=(Cpu(0, FixedRegisters(values, _GIVEN)),), current=0)


def _notes(machine: Machine, name: str, literal: Literal) -> tuple[str, ...]:
    said = [literal.said] if literal.said else []
    control = machine.architecture.laid_out_by(name)
    if control is not None and _read_or_why(machine, control[0]).word is None:
        register, field = control
        said.append(f"{register}.{field} is taken for 0; with {register}=VALUE it is laid out by that")
    return tuple(said)


def _read(machine: Machine, name: str) -> Register:
    return Register(name, machine.architecture.word(name, machine.register))


def _read_or_why(machine: Machine, name: str) -> Register:
    try:
        return _read(machine, name)
    except Unavailable as missing:
        return Register(name, None, str(missing))


def _brief(architecture: Architecture, register: Register) -> str:
    """Return a register in a line: its syndrome, or the fields that matter most."""
    assert register.word is not None, "it was read"
    base = architecture.base_name(register.name)
    if architecture.has("exceptions") and architecture.exceptions.is_syndrome(register.name):
        said = sentence(architecture.exceptions.decode(int(register.word)))
        return "".join(each if isinstance(each, str) else each.text for each in said)
    wanted = architecture.brief_fields.get(base, Brief(()))
    by_name = {each.field.name: each for each in register.word.decoded()}
    always = [by_name[name] for name in wanted.always if name in by_name]
    also = [by_name[name] for name in wanted.if_set if name in by_name and by_name[name].value]
    return "  ".join(_said(each) for each in (*always, *also))


def _said(each: FieldValue) -> str:
    if each.field.width == _ATTRIBUTE_BITS:
        return f"{each.field.name}={each.meaning}"
    if each.meaning and each.meaning not in _PLAIN:
        return f"{each.field.name}={each.meaning.partition(',')[0]}"
    small = each.field.width <= _SMALL_BITS and each.field.scale == 1
    return f"{each.field.name}={each.value if small else hex(each.value)}"
