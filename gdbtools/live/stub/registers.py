"""Registers out of GDB: the one place where a `gdb.Value` becomes an unsigned integer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import gdb

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Stub
from gdbtools.errors import MissingRegister

_REFUSED = "remote failure reply"
"""In GDB's message, where the stub has the register and has answered with an error."""
_NEVER = "nor does QEMU's own, of any CPU"
_PRIVILEGE = "stop where the CPU has the privilege to read it"


def unsigned(value: gdb.Value) -> int:
    """Return a register's value as an unsigned integer: GDB hands system registers over as signed longs."""
    return int(value) & ((1 << 8 * value.type.sizeof) - 1)


@dataclass
class LiveRegisters:
    """The registers of one GDB thread, which QEMU's stub makes of each CPU."""

    thread: gdb.InferiorThread
    before_read: Callable[[], None]
    """Called before GDB is asked: it may look at memory to make a frame, so physical mode has to be off."""
    architecture: Architecture
    monitor: Callable[[str], str]
    """What QEMU's monitor prints, empty where there is none to ask."""
    version: Callable[[], str]
    constants: dict[str, int | None] = field(default_factory=dict)
    _printed: tuple[int | None, str, str] = (None, "", "")
    """What the monitor printed last: at which pc, asked what."""

    def read(self, name: str) -> int:
        value = self.architecture.from_stub(name, self._stub)
        if value is None:
            has = name not in self.architecture.never_given
            advice = "QEMU's own does for a CPU that has it: see `info registers`" if has else _NEVER
            raise MissingRegister("this gdbstub does not give", (name,), advice)
        return value

    @cached_property
    def _stub(self) -> Stub:
        return Stub(self.thread.ptid[1] - 1, self.given, self._monitor, self.version)

    def given(self, name: str) -> int | None:
        """Return what the stub gives by a name, None where it has no such register."""
        if name in self.constants:
            return self.constants[name]
        value = self._read(name)
        if self.architecture.identity.is_constant(name) or value is None:
            self.constants[name] = value
        return value

    def _monitor(self, command: str) -> str:
        """Ask the monitor once for as long as the CPU stands where it stands."""
        at = self.given(self.architecture.pc)
        if self._printed[:2] != (at, command):
            self._printed = (at, command, self.monitor(command))
        return self._printed[2]

    def _read(self, name: str) -> int | None:
        self.before_read()
        selected = gdb.selected_thread()
        elsewhere = selected is not None and selected.ptid != self.thread.ptid
        if elsewhere:
            self.thread.switch()
        try:
            frame = gdb.newest_frame()
            for each in (name, self.architecture.identity.stub_names.get(name)):
                if each is None:
                    continue
                try:
                    return unsigned(frame.read_register(each))
                except ValueError:
                    continue
                except gdb.error as error:
                    if _REFUSED in str(error):
                        raise MissingRegister(
                            "this gdbstub, as the CPU stands, does not give", (name,), _PRIVILEGE
                        ) from None
                    raise
            return None
        finally:
            if elsewhere and selected is not None:
                selected.switch()

    def names(self) -> Sequence[str]:
        return [register.name for register in gdb.newest_frame().architecture().registers()]


def machine_pc() -> int:
    """Return the selected CPU's pc."""
    return unsigned(gdb.newest_frame().read_register("pc"))


def forget_registers() -> None:
    """Have GDB ask the stub again for what it remembers of registers and frames."""
    with suppress(gdb.error):
        gdb.execute("maintenance flush register-cache", to_string=True)
