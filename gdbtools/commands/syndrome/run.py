"""`syndrome`: one, decoded, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools import systems
from gdbtools.analysis.faults.belonging import Belonging, belonging
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import ExceptionRecord, Syndrome
from gdbtools.bits import FieldValue
from gdbtools.commands.session import Session
from gdbtools.errors import MissingRegister, UsageError

TrapControls = Sequence[tuple[str, FieldValue]]


@dataclass(frozen=True)
class Decoded:
    """A syndrome and the architecture that decoded it.

    `exception` and `traps` are there where registers were: without them it is not known who took the exception, or
    which control trapped the instruction.
    """

    syndrome: Syndrome
    architecture: Architecture
    convention: str
    exception: ExceptionRecord | None = None
    traps: TrapControls = ()
    belongs: Belonging | None = None


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `syndrome`, as `declared` has it."""

    value: int | None = None
    fetch: bool = False
    class_: int | None = None


def sourceless(options: Options) -> bool:
    return options.value is not None


def run(session: Session, options: Options) -> Sequence[Decoded]:
    machine = session.machine
    architecture = machine.architecture
    if options.value is not None:
        value = options.value if options.class_ is None else _of_class(architecture, options.value, options.class_)
        syndrome = _of_fetch(architecture, value) if options.fetch else architecture.exceptions.decode(value)
        width = type(syndrome.word).width
        if value >> width:
            raise UsageError(f"{value:#x} does not fit {width} bits; give a value from 0 to {(1 << width) - 1:#x}")
        return (Decoded(syndrome, architecture, systems.convention(architecture, syndrome)),)
    if options.fetch:
        raise UsageError("--fetch is of a value that is given; write it, too: dfsr 0x5 --fetch")
    if options.class_ is not None:
        raise UsageError("--class is of an ISS that is given; write it, too: syndrome 0x1c08006 --class 0x24")
    try:
        exception = machine.exception()
    except MissingRegister:
        # What else the exception left is not there; the syndrome may be.
        syndrome = architecture.exceptions.syndrome(machine.register)
        return (Decoded(syndrome, architecture, systems.convention(architecture, syndrome)),)
    belongs = belonging(architecture, machine.register, machine.memory.read, exception)
    convention = systems.convention(architecture, exception.syndrome, machine.register if belongs.current else None)
    traps = architecture.exceptions.trap_controls(exception, machine.register) if belongs.joined else ()
    return (Decoded(exception.syndrome, architecture, convention, exception, traps, belongs),)


def _of_fetch(architecture: Architecture, value: int) -> Syndrome:
    found = architecture.exceptions.decode_fetch(value)
    if found is None:
        raise UsageError(
            f"a syndrome of {architecture.identity.title} says itself whether a fetch was refused; leave --fetch out"
        )
    return found


def _of_class(architecture: Architecture, iss: int, exception_class: int) -> int:
    whole = architecture.exceptions.syndrome_of(exception_class, iss)
    if whole is None and architecture.exceptions.syndrome_of(0, 0) is None:
        raise UsageError(f"{architecture.identity.title} has no classes of exceptions; leave --class out")
    if whole is None:
        raise UsageError(
            f"{iss:#x} with class {exception_class:#x} is no syndrome; an ISS has 25 bits, a class is from 0 to 0x3f"
        )
    return whole
