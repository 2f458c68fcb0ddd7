"""The sources, listed: what a file is, its contents say, not its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os.path import expanduser
from pathlib import Path
from typing import Final

from gdbtools import numbers
from gdbtools.addresses import PA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import Architecture, DirtyConvention
from gdbtools.arch.model import Assumption
from gdbtools.errors import Malformed, UsageError
from gdbtools.machine.dumps import magic
from gdbtools.machine.dumps.derived import with_linux_registers
from gdbtools.machine.dumps.dump import Dump
from gdbtools.machine.dumps.files import one_line, open_file
from gdbtools.machine.dumps.written_down import read_registers, written_bits, written_names
from gdbtools.machine.layers import FixedRegisters, Overridden, no_source
from gdbtools.machine.model import Cpu, Machine, with_dirty
from gdbtools.numbers import Literal
from gdbtools.systems import vmcoreinfo

QMP: Final = "qmp:"
"""What the name of a QEMU's monitor begins with."""


def _open_core(path: Path) -> Dump:
    from gdbtools.machine.dumps.elfcore import open_core

    return open_core(path)


def _open_lime(path: Path) -> Dump:
    from gdbtools.machine.dumps.lime import open_lime

    return open_lime(path)


def _open_kdump(path: Path) -> Dump:
    from gdbtools.machine.dumps.kdump import open_kdump

    return open_kdump(path)


FORMATS: Final[Mapping[bytes, Callable[[Path], Dump]]] = {
    magic.ELF: _open_core,
    magic.LIME: _open_lime,
    **dict.fromkeys(magic.KDUMP, _open_kdump),
}
"""What opens a file that begins so."""
_AT_BASE = re.compile(r"(?P<path>.+)@(?P<base>[^@/]*)", re.DOTALL)


@contextmanager
def opened(
    source: str | Sequence[str],
    registers: str | Path | None = None,
    cpu: int | None = None,
    stop: bool = False,
    dirty: str | None = None,
    architecture: str | None = None,
    record: int | None = None,
) -> Iterator[Machine]:
    """Open a source as a machine: whatever `open_source` does, or the QEMU whose monitor is at `qmp:ADDRESS`.

    A QEMU's guest has to stand still: one that runs is refused, or held for as long as this lasts if `stop` says so.
    """
    names = (source,) if isinstance(source, str) else tuple(source)
    monitor = next((name for name in names if name.startswith(QMP)), None)
    if monitor is None and stop:
        raise UsageError(
            f"--stop holds a guest that runs, and {names[0]} is no QEMU's monitor ({QMP}PATH); leave it out"
        )
    if monitor is None:
        yield open_source(names, registers, cpu, dirty, architecture, record=record)
        return
    if record is not None:
        raise UsageError(_no_log(monitor))
    if len(names) > 1:
        raise UsageError(f"{monitor} is one of several sources; give it alone")
    from gdbtools.machine.live.qemu import attached  # sockets and processes: no dump needs them

    with attached(monitor.removeprefix(QMP), stop) as dump:
        yield _machine(dump, registers, cpu, dirty, architecture)


def open_source(
    source: str | Sequence[str],
    registers: str | Path | None = None,
    cpu: int | None = None,
    dirty: str | None = None,
    architecture: str | None = None,
    like: Machine | None = None,
    record: int | None = None,
) -> Machine:
    """Open a dump (`PATH`), or one or more raw images (`PATH@BASE`), as a machine without a live guest.

    `registers` is a JSON object of architectural names to hex strings that supplies or overrides the current CPU's.
    `architecture` is the name of its own, for a source that does not say; it is that of `like`, which it is held
    against, where nobody says at all.
    `dirty` is the convention by which its guest marks what is dirty (`DirtyConvention`), if the user has stated one.
    `record` is which crash of a log, counted from 1; None: the first.
    In front of a name `~` is a home directory: not every face has a shell before it.
    """
    names = (source,) if isinstance(source, str) else source
    dump = _opened([expanduser(name) for name in names], record)
    machine = _machine(dump, registers, cpu, dirty, architecture, like)
    return replace(machine, files=(*names, *machine.files))


def registers_alone(registers: str | Path, architecture: str | None = None) -> Machine:
    """Return a machine without memory whose one CPU has the registers of a file, as `--registers` takes it."""
    path = Path(registers).expanduser()
    whose = ARCHITECTURES[ARCHITECTURES.chosen(architecture, written_names(path), written_bits(path))]
    given = read_registers(path, whose, FixedRegisters({}, "no source"))
    machine = no_source(whose)
    return replace(machine, cpus=(Cpu(0, FixedRegisters(given.values, str(registers))),), assumed=given.assumed)


def _machine(
    dump: Dump,
    registers: str | Path | None,
    cpu: int | None,
    dirty: str | None,
    wanted: str | None,
    like: Machine | None = None,
) -> Machine:
    whose = dump.memory.description
    architecture = _architecture(dump, registers, wanted, like)
    current = dump.current if cpu is None else cpu
    cpus = dump.cpus or (Cpu(0, FixedRegisters({}, whose)),)
    given = None
    if registers is not None:
        path = Path(registers).expanduser()
        own = next((each.registers for each in cpus if each.number == current), FixedRegisters({}, whose))
        given = read_registers(path, architecture, own)
        supplied = FixedRegisters(given.values, str(registers))
        cpus = tuple(
            Cpu(each.number, Overridden(each.registers, supplied)) if each.number == current else each for each in cpus
        )
    info = vmcoreinfo.parse(dump.vmcoreinfo)
    cpus, assumed = with_linux_registers(architecture, cpus, info, whose, dump.memory.read)
    if given is not None:
        assumed += given.assumed
    machine = Machine(
        architecture,
        dump.memory,
        cpus,
        current,
        assumed=dump.assumed + assumed,
        counted=bool(dump.cpus) and dump.counted,
        crash=dump.crash,
    )
    if registers is not None:
        machine = replace(machine, files=(str(registers),))
    # Raises `Unavailable` if the CPU that was asked for is not there.
    _ = machine.cpu
    if dirty is not None:
        return with_dirty(machine, DirtyConvention(dirty), "as --dirty-convention says")
    if dump.dirty:
        return with_dirty(machine, DirtyConvention(dump.dirty), "as was stated when the capture was made")
    return machine


def _architecture(dump: Dump, registers: str | Path | None, wanted: str | None, like: Machine | None) -> Architecture:
    """Return whose dump it is: as it says itself, or, where it does not, as the user or the registers' names say."""
    whose = dump.memory.description
    wanted = None if wanted is None else ARCHITECTURES.spelled(wanted)
    if not dump.architecture:
        path = None if registers is None else Path(registers).expanduser()
        names, bits = ((), 0) if path is None else (written_names(path), written_bits(path))
        if like is not None and wanted is None and not names:
            return like.architecture
        return ARCHITECTURES[ARCHITECTURES.chosen(wanted, names, bits)]
    if dump.architecture not in ARCHITECTURES:
        raise Malformed(f"{whose} is of {dump.architecture}, which is not one of {', '.join(ARCHITECTURES)}")
    if wanted not in (None, dump.architecture):
        raise UsageError(f"{whose} is of {dump.architecture}, by its own account, and not of {wanted}")
    return ARCHITECTURES[dump.architecture]


def _no_log(name: str) -> str:
    return f"--record chooses among the crashes of a log, and {name} is none; leave it out"


def _opened(names: Sequence[str], record: int | None) -> Dump:
    """Return what the named files hold: raw images together, or one file that says by its contents what it is."""
    images = [_raw(name) for name in names]
    raw = [image for image in images if image is not None]
    if record is not None and any(raw):
        raise UsageError(_no_log(names[0]))
    if len(raw) == len(names):
        said = tuple(Assumption("", f"{path}@{base.said}") for path, base in raw if base.said)
        from gdbtools.machine.dumps.raw import open_raw

        return replace(open_raw([(path, PA(base.value)) for path, base in raw]), assumed=said)
    if len(names) > 1:
        raise UsageError(f"{names[images.index(None)]} is one of several sources; then all are raw images, PATH@BASE")
    (name,) = names
    with one_line(name), open_file(Path(name)) as file:
        begins = file.read(magic.LOOKED_AT)
    if not begins:
        raise Malformed(f"{name} is empty; name a dump that has something in it")
    for beginning, opened in FORMATS.items():
        if begins.startswith(beginning):
            if record is not None:
                raise UsageError(_no_log(name))
            return opened(Path(name))
    for beginning, what in magic.NEARLY.items():
        if begins.startswith(beginning):
            raise UsageError(f"{name} is {what}")
    if b"\0" not in begins or magic.utf_16(begins):
        from gdbtools.machine.dumps.crash_log import open_crash_log

        return open_crash_log(Path(name), record)
    raise UsageError(f"{name} is no dump that is known here; for a raw image say where it starts: {name}@0x40000000")


def _raw(name: str) -> tuple[Path, Literal] | None:
    """Read `PATH@BASE`; None for what is no such thing, or is a file by all of that name."""
    found = _AT_BASE.fullmatch(name)
    with one_line(name):
        if found is None or Path(name).exists():
            return None
    try:
        return Path(found["path"]), numbers.word(found["base"])
    except UsageError:
        raise UsageError(f"{name}: {found['base']!r} is not where an image starts; write PATH@0x40000000") from None
