"""A service: stops of the guest, each given to a handler, by GDB or past it, until one of them ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import gdb

from gdbtools.addresses import VA
from gdbtools.errors import GdbtoolsError, Unavailable
from gdbtools.live.catch import Catches, matches, vectors
from gdbtools.live.interrupt import Interrupt
from gdbtools.live.rsp_service import RegisterPlan, Relay
from gdbtools.live.stub.order import SILENT
from gdbtools.live.stub.registers import forget_registers, machine_pc
from gdbtools.live.stub.rsp import open_wire
from gdbtools.live.stub.target import Target
from gdbtools.machine.live.gdbstub import Silent, StubLost, register_numbers
from gdbtools.machine.model import CaughtFaults, Machine, Served

if TYPE_CHECKING:
    from gdbtools.live.guest import LiveGuest

GONE = "the guest is gone: QEMU closed the connection"
DEAF = (
    "QEMU does not answer: is it stopped itself, or its machine too busy? The connection is given up, the guest as "
    "it is; attach again when it answers"
)
INTERRUPTED, STOPPED = "interrupted", "stopped"
OURS = ("", INTERRUPTED, STOPPED)
"""What a stop of our own making is called."""
WATCHPOINTS = (gdb.BP_WATCHPOINT, gdb.BP_HARDWARE_WATCHPOINT, gdb.BP_READ_WATCHPOINT, gdb.BP_ACCESS_WATCHPOINT)
"""Their stops come once: handed back to GDB, one would be lost."""
Handler = Callable[[Machine], Served]


class VectorBreakpoint(gdb.Breakpoint):
    """An invisible stop at one vector entry, for as long as a service runs."""

    def __init__(self, address: VA, goes_on: Callable[[], bool]) -> None:
        super().__init__(f"*{address:#x}", gdb.BP_HARDWARE_BREAKPOINT, internal=True)
        self.silent = True
        self._goes_on = goes_on

    def stop(self) -> bool:
        return not self._goes_on()


class Serving:
    """One service from its beginning to its end; without a handler the guest runs, and nothing is repaired."""

    def __init__(
        self, guest: LiveGuest, target: Target, catches: Catches, handle: Handler | None, interrupt: Interrupt
    ) -> None:
        self._guest = guest
        self._target = target
        self._catches = catches
        self._handle = handle or leave
        self._interrupt = interrupt
        self.repairs = False
        """Whether faults are the handler's, so that no catch is to stop at them."""
        self._ending = ""
        """What the handler ended it with: an error, or Ctrl-C in the middle of a stop."""
        self._relayed = False
        """Whether GDB stopped for the relay to take over."""
        self._entries: Mapping[VA, str] = {}
        self._shown: object = None
        """The stop at which that was."""
        self._left: Served | None = None
        """What GDB stopped at last and was told to leave to the guest, until it is seen that it has."""

    def run(self) -> str:
        """Serve, and give why that ended; empty where the handler wanted no more, or the time was over."""
        ended = self._serve()
        self._settle()
        if self._interrupt.given_up and not self._target.connected():
            return DEAF
        if ended in OURS:
            ended = INTERRUPTED if self._interrupt.typed else "" if self._interrupt.wanted else ended or GONE
        return self._ending or ended

    def _serve(self) -> str:
        """Serve, by GDB's own stops or past it; returns why it ended, but for the handler's error or an interrupt."""
        machine = self._guest.machine()
        # Now: inside a stop GDB takes the guest for running, and refuses the monitor.
        self._target.attached().memory.find()
        entries = self._entries = {} if self._handle is leave else vectors(machine)
        relay = self._relay(machine, entries)
        # What the CPU stands at now comes first: continuing would step past its breakpoint.
        at_vector = machine.register(machine.architecture.pc) in entries
        if relay is None and at_vector and not self._serve_by_gdb().goes_on:
            return ""
        self._target.attached().release()
        ended: list[str] = []
        on_stop: Callable[[gdb.StopEvent], None] = lambda event: ended.append(stop_reason(event))  # noqa: E731
        breakpoints: list[VectorBreakpoint] = []
        gdb.events.stop.connect(on_stop)
        self.repairs = bool(entries)
        try:
            with always_inserted(relay is not None):
                goes_on: Callable[[], bool] = lambda: self._serve_in_gdb(relay) and not self._interrupt.wanted  # noqa: E731
                breakpoints += [VectorBreakpoint(address, goes_on) for address in entries]
                if relay is None:
                    with self._interrupt.by_gdb():
                        gdb.execute("continue")
                else:
                    self._serve_past_gdb(relay, ended)
        except gdb.error as error:
            ended.append(str(error) if gdb.selected_inferior().threads() else GONE)
        finally:
            gdb.events.stop.disconnect(on_stop)
            for each in breakpoints:
                if each.is_valid():
                    each.delete()
            if relay is not None:
                relay.wire.close()
        return ended[-1] if ended else ""

    def _relay(self, machine: Machine, entries: Mapping[VA, str]) -> Relay | None:
        """Return a way past GDB to the stub, or None where there is none, or only GDB can tell what a stop is."""
        attachment = self._target.attached()
        if not attachment.stub.supported() or any(each.type in WATCHPOINTS for each in gdb.breakpoints()):
            return None
        wire = open_wire(attachment.connection.details or "")
        if wire is None:
            return None
        try:
            (form,) = wire.ask(["qC"])
            attachment.numbers = attachment.numbers or register_numbers(wire)
        except (StubLost, Unavailable):
            wire.close()
            return None
        written = _with_process if b"p" in form.removeprefix(b"QC") else _without_process
        threads = {written(thread.ptid): thread.num - 1 for thread in gdb.selected_inferior().threads()}
        places = user_places(self._catches)
        return Relay(
            wire,
            machine.architecture,
            attachment.memory,
            attachment.release,
            RegisterPlan(machine.architecture, attachment.numbers, attachment.constants, attachment.version),
            threads,
            entries,
            lambda stopped: self._is_gdbs(stopped, places),
        )

    def _is_gdbs(self, stopped: Machine, places: frozenset[int] | None) -> bool:
        """Return whether a breakpoint of the user's may want a CPU's stop: of ours it is known which they want."""
        pc = stopped.register(stopped.architecture.pc)
        if places is None or pc in places:
            return True
        return self._catches.wanted(stopped, pc) and not matches(stopped, CaughtFaults("access-flag"))

    def _serve_past_gdb(self, relay: Relay, ended: list[str]) -> None:
        """Serve over the wire, and give GDB its turn where it has to decide, up to the next fault to repair."""
        first = True
        while not self._pass_on(relay, first):
            first = False
            self._relayed = False
            # Not `continue`, which steps past a breakpoint at pc if GDB itself stopped at that pc last.
            with self._interrupt.by_gdb():
                gdb.execute(f"with confirm off -- jump *{machine_pc():#x}")
            if not self._relayed or self._interrupt.wanted:
                return
        if relay.ended:
            ended.append(relay.ended)

    def _pass_on(self, relay: Relay, first: bool) -> bool:
        """Serve past GDB; whatever happens, GDB then knows the guest as it is.  Says whether the service has ended."""
        stub = self._target.attached().stub
        selected = gdb.selected_thread()
        assert selected is not None, "the guest has stopped"
        # Now the stub's current thread is the one that GDB takes it for.
        machine_pc()
        here = next(thread for thread, number in relay.threads.items() if number == selected.num - 1)
        stub.past_gdb = lambda packet: relay.wire.ask([packet])[0]
        try:
            return relay.run(self._handle, self._interrupt, here if first else "")
        except Silent:
            self._give_up(relay)
            return True
        except StubLost:
            return False
        except (GdbtoolsError, gdb.error) as error:
            self._ending = str(error)
            return True
        finally:
            if not stub.order.lost:
                with suppress(StubLost):
                    stub.release()
                    relay.wire.ask([f"Hg{here}"])
            stub.past_gdb = None
            if not stub.order.lost:
                forget_registers()
                self._select(relay)

    def _give_up(self, relay: Relay) -> None:
        """Part from a stub that does not answer: what it says later must not be taken for anything."""
        self._ending = DEAF
        relay.wire.cut()
        self._target.attached().stub.order.lost = SILENT
        with suppress(gdb.error):
            gdb.execute("disconnect", to_string=True)

    def _select(self, relay: Relay) -> None:
        """Select the CPU that stopped last, as GDB does."""
        number = relay.threads.get(relay.thread)
        for thread in gdb.selected_inferior().threads():
            if thread.num - 1 == number:
                thread.switch()

    def _serve_in_gdb(self, relay: Relay | None) -> bool:
        """Handle a stop of GDB's; with a relay, the first repair is GDB's last stop."""
        served = self._serve_by_gdb()
        self._relayed = served.goes_on and served.registers is not None and relay is not None
        return served.goes_on and not self._relayed

    def _serve_by_gdb(self) -> Served:
        """Handle a stop of GDB's; what was left to the guest at the stop before it has by now."""
        # QEMU 7.2 says now and then that it has stepped, and has not: GDB stops at the same exception again.
        shown = self._shown_now()
        left, self._left = self._left, None
        if left is not None and shown != self._shown:
            left.was_passed_on()
        served = self._serve_one()
        if served.goes_on and served.registers is None:
            self._left, self._shown = served, shown
        return served

    def _shown_now(self) -> object:
        """Return what tells this stop from another: the CPU, with all that the exception has left in its registers."""
        try:
            machine = self._guest.machine()
            exception = machine.exception()
            registers = tuple(machine.register(name) for name in machine.architecture.general)
        except (GdbtoolsError, gdb.error):
            return object()
        return machine.current, registers, exception.return_address, exception.state, int(exception.syndrome.word)

    def _settle(self) -> None:
        """Have what GDB left to the guest counted, unless the guest still stands at it."""
        left, self._left = self._left, None
        if left is not None and not (gdb.selected_thread() is not None and machine_pc() in self._entries):
            left.was_passed_on()

    def _serve_one(self) -> Served:
        """Handle one stop; an error ends the service, and physical mode is off before the guest runs."""
        try:
            machine = self._guest.machine()
            self._target.attached().make_sure()
            try:
                served = self._handle(machine)
                if served.registers is not None:
                    self._guest.send(served.registers)
                self._guest.written()
                return served
            finally:
                self._target.attached().release()
        except (GdbtoolsError, gdb.error) as error:
            self._ending = str(error)
            return Served(False)
        except KeyboardInterrupt:
            self._ending = INTERRUPTED
            return Served(False)


def leave(machine: Machine) -> Served:  # noqa: ARG001
    """Leave whatever there is to the guest."""
    return Served(True)


def stop_reason(event: gdb.StopEvent) -> str:
    if isinstance(event, gdb.BreakpointEvent):
        numbers = [str(each.number) for each in event.breakpoints if each.visible]
        return f"breakpoint {', '.join(numbers)}" if numbers else STOPPED
    if isinstance(event, gdb.SignalEvent):
        return INTERRUPTED if event.stop_signal == "SIGINT" else f"stopped by {event.stop_signal}"
    return STOPPED


@contextmanager
def always_inserted(wanted: bool) -> Iterator[None]:
    """Have GDB leave its breakpoints in the guest while it is stopped, if so wanted."""
    if not wanted:
        yield
        return
    setting = "breakpoint always-inserted"
    before = gdb.parameter(setting)
    gdb.execute(f"set {setting} on")
    # GDB inserts them when one is made, not when it is told to keep them so (seen in 13 and 18).
    gdb.Breakpoint(f"*{machine_pc():#x}", gdb.BP_HARDWARE_BREAKPOINT, internal=True).delete()
    try:
        yield
    finally:
        gdb.execute(f"set {setting} {'on' if before else 'off'}")


def user_places(catches: Catches) -> frozenset[int] | None:
    """Return where the user's breakpoints are, None where that cannot be told: GDB says so from 13 on.

    Those of `mmu catch` are not among them, as long as they are as they were made.
    """
    places: set[int] = set()
    for each in gdb.breakpoints():
        if not each.enabled or not each.visible or catches.as_made(each):
            continue
        locations = getattr(each, "locations", None)
        if locations is None:
            return None
        places |= {location.address for location in locations if location.enabled}
    return frozenset(places)


def _with_process(ptid: tuple[int, int, int]) -> str:
    return f"p{ptid[0]:02x}.{ptid[1]:02x}"


def _without_process(ptid: tuple[int, int, int]) -> str:
    return f"{ptid[1]:02x}"
