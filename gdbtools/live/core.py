"""A core file that GDB has open, as the source that it is offline: GDB itself sees neither its MMU nor its tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gdb

from gdbtools.errors import Unavailable
from gdbtools.live.console import console
from gdbtools.live.stub.registers import unsigned
from gdbtools.live.whose import stand_in
from gdbtools.machine.dumps.files import one_line
from gdbtools.machine.model import Machine
from gdbtools.machine.sources import open_source

CORE = "core"
"""What GDB calls this kind of connection."""
_FILE = re.compile(r"^\s*`(.+)', file type ", re.MULTILINE)


class CoreFile:
    """The core file of the selected inferior; opened once for as long as it is the same."""

    def __init__(self, registers: Callable[[], Path | None]) -> None:
        self._registers = registers
        self._key: object = None
        self._machine: Machine | None = None

    def machine(self) -> Machine | None:
        """Return the core file as a machine, at the CPU that GDB has selected; None if GDB has no core file open."""
        if not has_core():
            return None
        path = _path()
        with one_line(str(path)):
            state = path.stat()
        if self._machine is None or self._key != (path, state.st_mtime_ns, state.st_size):
            self._machine = open_source(str(path), like=stand_in())
            self._key = (path, state.st_mtime_ns, state.st_size)
        number = _number(self._machine)
        supplied = self._registers()
        if supplied is None:
            return replace(self._machine, current=number)
        return open_source(str(path), supplied, number, like=stand_in())


def has_core() -> bool:
    """Return whether what the selected inferior shows is a core file."""
    connection = gdb.selected_inferior().connection
    return connection is not None and connection.type == CORE


def _path() -> Path:
    # Before GDB 18 only `info files` tells.
    known = getattr(gdb.selected_inferior(), "corefile", None)
    found = known.filename if known is not None else next(iter(_FILE.findall(console("info files"))), None)
    if found is None:
        raise Unavailable("GDB does not say which core file it has open; ask outside: gdbtools COMMAND -s FILE")
    return Path(found)


def _number(machine: Machine) -> int:
    """Return the CPU that GDB's selected thread is.

    GDB numbers threads as the file has them, but for those with the same process number, of which it makes one.
    """
    if not gdb.selected_inferior().threads():
        return machine.current
    first = gdb.selected_thread().num - 1
    pc = unsigned(gdb.newest_frame().read_register("pc"))
    name = machine.architecture.pc
    for cpu in sorted(machine.cpus, key=lambda each: each.number != first):
        if name in cpu.registers.names() and cpu.registers.read(name) == pc:
            return cpu.number
    return machine.current
