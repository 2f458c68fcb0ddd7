"""The running guest, as commands see it: jump, resume, catch, serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import gdb

from gdbtools.errors import GdbtoolsError, Refused
from gdbtools.live.catch import Catches, vectors
from gdbtools.live.console import console, show
from gdbtools.live.interrupt import Interrupt
from gdbtools.live.registers import unsigned
from gdbtools.live.step import keeping, step
from gdbtools.live.target import Target
from gdbtools.live.watch import DescriptorWatchpoint
from gdbtools.machine.model import Machine
from gdbtools.render.document import Document

GONE = "the guest is gone: QEMU closed the connection"


class VectorBreakpoint(gdb.Breakpoint):
    """An invisible stop at one vector entry, for as long as a service runs."""

    def __init__(self, address: int, goes_on: Callable[[], bool]) -> None:
        super().__init__(f"*{address:#x}", gdb.BP_HARDWARE_BREAKPOINT, internal=True)
        self.silent = True
        self._goes_on = goes_on

    def stop(self) -> bool:
        return not self._goes_on()


class LiveGuest:
    """A guest behind QEMU's gdbstub."""

    def __init__(self, target: Target, catches: Catches) -> None:
        self._target = target
        self._catches = catches
        self._ending = ""
        self._touched: set[str] = set()
        self.serving = False
        """Whether access-flag faults are being repaired, so that no catch is to stop at them."""

    def machine(self) -> Machine:
        return self._target.machine(self)

    def describe(self) -> Sequence[tuple[str, str]]:
        attachment = self._target.attached()
        connection = attachment.connection
        known = {register.name for register in gdb.newest_frame().architecture().registers()}
        system = sum(name.isupper() for name in known)
        has_tables = "TCR_EL1" in known
        return (
            ("connection", f"{connection.type} {connection.details or ''}, {self._qemu_version()}"),
            ("system registers", f"{system}, read-only" if has_tables else "none: this stub does not expose them"),
            ("writes", "physical memory, general registers, pc; not system registers"),
            ("catching", ", ".join(catch.kind for catch in self._catches.active) or "nothing"),
        )

    def _qemu_version(self) -> str:
        try:
            # The last line: `set trace-commands on` puts one of its own before it.
            return f"QEMU {console('monitor info version').strip().splitlines()[-1]}"
        except (gdb.error, IndexError):
            return "which has no monitor"

    def jump(self, address: int) -> None:
        self._target.attached().release()
        # Another frame than the newest refuses `set $pc`; afterwards none of the old ones exists.
        gdb.newest_frame().select()
        try:
            gdb.execute(f"set variable $pc = {address:#x}", to_string=True)
        except gdb.error as error:
            raise Refused(f"the gdbstub would not set pc: {error}") from None
        if unsigned(gdb.newest_frame().read_register("pc")) != address:
            raise Refused(f"pc did not become {address:#x}; does another debugger hold this guest?")

    def keeping(self) -> AbstractContextManager[None]:
        return keeping(self._target.attached(), self.machine().architecture.general, self._touched)

    def step(self, address: int, registers: Mapping[str, int]) -> None:
        pc = self.machine().architecture.pc
        step(self._target.attached(), pc, {**registers, pc: address}, self._touched)

    def resume(self) -> None:
        self._target.attached().release()
        gdb.execute("continue")

    def catch(self, kind: str) -> Sequence[tuple[int, int, str]]:
        return self._catches.add(self.machine(), kind)

    def watch(
        self,
        addresses: Sequence[int],
        size_bytes: int,
        look: Callable[[Machine, Sequence[str]], Document | None],
        stops: bool,
    ) -> Sequence[int]:
        def changed(writer: Sequence[str]) -> bool:
            try:
                document = look(self.machine(), writer)
            finally:
                self._target.attached().release()
            if document is not None:
                show(document)
            return document is not None

        # GDB reads the value that it will compare with, by its virtual address.
        self._target.attached().release()
        made: list[DescriptorWatchpoint] = []
        try:
            for address in addresses:
                made.append(DescriptorWatchpoint(address, size_bytes, changed, stops))
        except (gdb.error, RuntimeError) as error:
            for each in made:
                each.delete()
            raise Refused(f"GDB cannot set a hardware watchpoint there: {error}") from None
        return [each.number for each in made]

    def serve(self, handle: Callable[[Machine], bool]) -> str:
        self._ending = ""
        machine = self.machine()
        # What the CPU stands at now comes first: continuing would step past its breakpoint.
        at_vector = machine.register(machine.architecture.pc) in machine.architecture.vectors(machine.register)
        if at_vector and not self._serve_one(handle):
            return self._ending
        self._target.attached().release()
        entries = vectors(machine)
        ended: list[str] = []
        on_stop: Callable[[gdb.StopEvent], None] = lambda event: ended.append(_stop_reason(event))  # noqa: E731
        breakpoints: list[VectorBreakpoint] = []
        gdb.events.stop.connect(on_stop)
        self.serving = True
        try:
            with Interrupt() as interrupt:
                goes_on: Callable[[], bool] = lambda: self._serve_one(handle) and not interrupt.wanted  # noqa: E731
                breakpoints += [VectorBreakpoint(address, goes_on) for address in entries]
                gdb.execute("continue")
            if interrupt.wanted:
                ended.append("interrupted")
        except KeyboardInterrupt:
            ended.append("interrupted")
        except gdb.error as error:
            ended.append(str(error) if gdb.selected_inferior().threads() else GONE)
        finally:
            self.serving = False
            gdb.events.stop.disconnect(on_stop)
            for each in breakpoints:
                if each.is_valid():
                    each.delete()
        return self._ending or (ended[-1] if ended else GONE)

    def _serve_one(self, handle: Callable[[Machine], bool]) -> bool:
        """Handle one stop; an error ends the service, and physical mode is off before the guest runs."""
        try:
            machine = self.machine()
            try:
                return handle(machine)
            finally:
                self._target.attached().release()
        except (GdbtoolsError, gdb.error) as error:
            self._ending = str(error)
            return False
        except KeyboardInterrupt:
            self._ending = "interrupted"
            return False


def _stop_reason(event: gdb.StopEvent) -> str:
    if isinstance(event, gdb.BreakpointEvent):
        numbers = [str(each.number) for each in event.breakpoints if each.visible]
        return f"breakpoint {', '.join(numbers)}" if numbers else "stopped"
    if isinstance(event, gdb.SignalEvent):
        return "interrupted" if event.stop_signal == "SIGINT" else f"stopped by {event.stop_signal}"
    return "stopped"
