"""Where bytes come from.  The sources are listed here; `open_source` chooses by what a file holds, not by its name."""

from __future__ import annotations

import json
import re
from pathlib import Path

from gdbtools.arch import ARCHITECTURES
from gdbtools.errors import Malformed, UsageError
from gdbtools.machine.derived import with_linux_registers
from gdbtools.machine.elfcore import open_core
from gdbtools.machine.model import Cpu, FixedRegisters, Machine, Overridden, one_line, unsigned
from gdbtools.machine.raw import open_raw

_AT_BASE = re.compile(r"(?P<path>.+)@(?P<base>[^@/]*)", re.DOTALL)


def open_source(name: str, registers: Path | None = None, cpu: int | None = None) -> Machine:
    """Open `PATH` (an ELF core) or `PATH@BASE` (a raw image) as a machine without a live guest.

    `registers` is a JSON object of architectural names to hex strings that supplies or overrides the current CPU's.
    """
    supplied = None if registers is None else FixedRegisters(_read_registers(registers), str(registers))
    raw = _AT_BASE.fullmatch(name)
    path = Path(name)
    with one_line(name):
        is_raw = raw is not None and not path.exists()
    if raw and is_raw:
        memory = open_raw(Path(raw["path"]), _base(raw["base"], name))
        cpus: tuple[Cpu, ...] = (Cpu(0, supplied or FixedRegisters({}, "a raw image")),)
        return _checked(Machine(ARCHITECTURES["aarch64"], memory, cpus, cpu or 0))
    with one_line(name), path.open("rb") as file:
        magic = file.read(4)
    if not magic:
        raise Malformed(f"{name} is empty; name a dump that has something in it")
    if magic != b"\x7fELF":
        raise UsageError(f"{name} is not an ELF core; for a raw image of memory say where it starts: {name}@0x40000000")
    core = open_core(path)
    if core.architecture not in ARCHITECTURES:
        raise Malformed(f"{name} is of {core.architecture}, which is not one of {', '.join(ARCHITECTURES)}")
    current = core.current if cpu is None else cpu
    architecture = ARCHITECTURES[core.architecture]
    cpus = core.cpus or (Cpu(0, FixedRegisters({}, f"the core {path.name}")),)
    if supplied:
        cpus = tuple(
            Cpu(each.number, Overridden(each.registers, supplied)) if each.number == current else each for each in cpus
        )
    cpus, assumed = with_linux_registers(architecture, cpus, core.vmcoreinfo, f"the core {path.name}")
    return _checked(Machine(architecture, core.memory, cpus, current, assumed=core.assumed + assumed))


def _checked(machine: Machine) -> Machine:
    """Give the machine; raise `Unavailable` if it lacks the CPU that was asked for."""
    _ = machine.cpu
    return machine


def _base(text: str, name: str) -> int:
    try:
        return _unsigned(text)
    except ValueError:
        raise UsageError(f"{name}: {text!r} is not where an image starts; write PATH@0x40000000") from None


def _read_registers(path: Path) -> dict[str, int]:
    with one_line(str(path)):
        text = path.read_bytes()
    try:
        given = json.loads(text)
        return {str(name): _unsigned(value) for name, value in given.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise UsageError(
            f'{path} is not a JSON object of register names to hex strings, like {{"TTBR0_EL1": "0x40000000"}}'
        ) from None


def _unsigned(value: object) -> int:
    number = int(value, 0) if isinstance(value, str) else value
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError(value)
    return unsigned(number)
