"""The running guest, as commands see it: jump, resume, catch, serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

import gdb

from gdbtools.errors import GdbtoolsError, Refused, Unavailable
from gdbtools.live.catch import Catches, vectors
from gdbtools.live.console import console, show
from gdbtools.live.history import Replay, replayed
from gdbtools.live.interrupt import Interrupt
from gdbtools.live.registers import unsigned
from gdbtools.live.relay import Plan, Relay
from gdbtools.live.step import keeping, step
from gdbtools.live.target import Target
from gdbtools.live.tlb import empty_tlb
from gdbtools.live.watch import DescriptorWatchpoint, frames
from gdbtools.live.wire import open_wire
from gdbtools.machine.gdbstub import Lost, register_numbers
from gdbtools.machine.model import Machine, Served
from gdbtools.machine.qemu_ram import backing
from gdbtools.render.document import Document

GONE = "the guest is gone: QEMU closed the connection"
INTERRUPTED, STOPPED = "interrupted", "stopped"
OURS = ("", INTERRUPTED, STOPPED)
"""What a stop of our own making is called."""
WATCHPOINTS = (gdb.BP_WATCHPOINT, gdb.BP_HARDWARE_WATCHPOINT, gdb.BP_READ_WATCHPOINT, gdb.BP_ACCESS_WATCHPOINT)
"""Their stops come once: handed back to GDB, one would be lost."""
Look = Callable[[Machine, Sequence[str]], Document | None]
Handler = Callable[[Machine], Served]


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
        self._interrupt: Interrupt | None = None
        self._touched: set[str] = set()
        self._watches: list[tuple[list[DescriptorWatchpoint], Look]] = []
        self.serving = False
        """Whether access-flag faults are being repaired, so that no catch is to stop at them."""
        self._relayed = False
        """Whether GDB stopped for the relay to take over."""

    def machine(self) -> Machine:
        return self._target.machine(self)

    def past_stub(self, allowed: bool) -> None:
        """Say whether the guest's RAM may be reached past the stub, where that can be done."""
        if self._target.attachment is not None:
            self._target.attachment.memory.past_stub = allowed

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
        if machine_pc() != address:
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
        look: Look,
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
        self._watches.append((made, look))
        try:
            for address in addresses:
                made.append(DescriptorWatchpoint(address, size_bytes, changed, stops))
        except (gdb.error, RuntimeError) as error:
            for each in made:
                each.delete()
            raise Refused(f"GDB cannot set a hardware watchpoint there: {error}") from None
        return [each.number for each in made]

    def written(self) -> None:
        """Have the watchpoints take descriptors for what they are now: gdbtools wrote, and that is nobody's change."""
        self._watches = [watch for watch in self._watches if any(each.is_valid() for each in watch[0])]
        if not self._target.connected():
            return
        for _, look in self._watches:
            look(self.machine(), ())

    def empty_tlb(self) -> None:
        empty_tlb(self._target.attached())

    def frames(self) -> Sequence[str]:
        return frames()

    @contextmanager
    def recorded(self, places: Sequence[tuple[int, int]]) -> Iterator[Replay]:
        with self.interruptible() as interrupt, replayed(self._target.attached(), interrupt, places) as found:
            yield found

    def symbol(self, address: int) -> str:
        """Give `NAME + OFFSET` of what GDB knows at a virtual address, empty where it knows nothing."""
        said = console(f"info symbol {address:#x}").strip().splitlines()[-1:]
        return said[0].partition(" in section ")[0] if said and " in section " in said[0] else ""

    def backing(self, pa: int) -> str | None:
        self._target.attached().release()
        try:
            return backing(console("monitor info mtree -f"), pa)
        except gdb.error:
            return None

    def serve(self, handle: Handler | None, seconds: float | None = None) -> str:
        self._ending = ""
        # Each repair is between two answers of the stub's.
        self.past_stub(True)
        with self.interruptible() as interrupt, interrupt.within(seconds):
            ended = self._serve(handle, interrupt)
            if ended in OURS:
                ended = INTERRUPTED if interrupt.typed else "" if interrupt.wanted else ended or GONE
        return self._ending or ended

    def interrupted(self) -> bool:
        return self._interrupt is not None and self._interrupt.typed

    @contextmanager
    def interruptible(self) -> Iterator[Interrupt]:
        """Keep Ctrl-C for `serve`, from before it until after: within such a block, another is the same."""
        if self._interrupt is not None:
            yield self._interrupt
            return
        with Interrupt() as self._interrupt:
            try:
                yield self._interrupt
            finally:
                self._interrupt = None

    def _serve(self, handle: Handler | None, interrupt: Interrupt) -> str:
        """Serve, by GDB's own stops or past it; gives why it ended, but for an error of the handler or an interrupt."""
        machine = self.machine()
        # Now: inside a stop GDB takes the guest for running, and refuses the monitor.
        self._target.attached().memory.find()
        entries = {} if handle is None else vectors(machine)
        handle = handle or leave
        relay = self._relay(machine, entries)
        # What the CPU stands at now comes first: continuing would step past its breakpoint.
        at_vector = machine.register(machine.architecture.pc) in entries
        if relay is None and at_vector and not self._serve_one(handle).goes_on:
            return ""
        self._target.attached().release()
        ended: list[str] = []
        on_stop: Callable[[gdb.StopEvent], None] = lambda event: ended.append(_stop_reason(event))  # noqa: E731
        breakpoints: list[VectorBreakpoint] = []
        gdb.events.stop.connect(on_stop)
        self.serving = bool(entries)
        try:
            with always_inserted(relay is not None):
                goes_on: Callable[[], bool] = lambda: self._serve_in_gdb(handle, relay) and not interrupt.wanted  # noqa: E731
                breakpoints += [VectorBreakpoint(address, goes_on) for address in entries]
                if relay is None:
                    gdb.execute("continue")
                else:
                    self._serve_past_gdb(relay, handle, interrupt, ended)
        except gdb.error as error:
            ended.append(str(error) if gdb.selected_inferior().threads() else GONE)
        finally:
            self.serving = False
            gdb.events.stop.disconnect(on_stop)
            for each in breakpoints:
                if each.is_valid():
                    each.delete()
            if relay is not None:
                relay.wire.close()
        return ended[-1] if ended else ""

    def _relay(self, machine: Machine, entries: Mapping[int, str]) -> Relay | None:
        """Give a way past GDB to the stub, or None where there is none, or only GDB can tell what a stop is."""
        attachment = self._target.attached()
        if not attachment.stub.supported() or any(each.type in WATCHPOINTS for each in gdb.breakpoints()):
            return None
        wire = open_wire(attachment.connection.details or "")
        if wire is None:
            return None
        try:
            (form,) = wire.ask(["qC"])
            attachment.numbers = attachment.numbers or register_numbers(wire)
        except (Lost, Unavailable):
            wire.close()
            return None
        written = _with_process if b"p" in form.removeprefix(b"QC") else _without_process
        threads = {written(thread.ptid): thread.num - 1 for thread in gdb.selected_inferior().threads()}
        places = user_places()
        return Relay(
            wire,
            machine.architecture,
            attachment.memory,
            attachment.release,
            Plan(attachment.numbers, attachment.constants),
            threads,
            entries,
            lambda address: places is None or address in places,
        )

    def _serve_past_gdb(self, relay: Relay, handle: Handler, interrupt: Interrupt, ended: list[str]) -> None:
        """Serve over the wire, and give GDB its turn where it has to decide, up to the next fault to repair."""
        first = True
        while not self._pass_on(relay, handle, interrupt, first):
            first = False
            self._relayed = False
            # Not `continue`, which steps past a breakpoint at pc if GDB itself stopped at that pc last.
            gdb.execute(f"with confirm off -- jump *{machine_pc():#x}")
            if not self._relayed or interrupt.wanted:
                return
        if relay.ended:
            ended.append(relay.ended)

    def _pass_on(self, relay: Relay, handle: Handler, interrupt: Interrupt, first: bool) -> bool:
        """Serve past GDB; whatever happens, GDB then knows the guest as it is.  Says whether the service has ended."""
        stub = self._target.attached().stub
        selected = gdb.selected_thread()
        assert selected is not None, "the guest has stopped"
        # Now the stub's current thread is the one that GDB takes it for.
        machine_pc()
        here = next(thread for thread, number in relay.threads.items() if number == selected.num - 1)
        stub.past_gdb = lambda packet: relay.wire.ask([packet])[0]
        try:
            return relay.run(handle, interrupt, here if first else "")
        except Lost:
            return False
        except (GdbtoolsError, gdb.error) as error:
            self._ending = str(error)
            return True
        finally:
            with suppress(Lost):
                stub.release()
                relay.wire.ask([f"Hg{here}"])
            stub.past_gdb = None
            forget_registers()
            self._select(relay)

    def _select(self, relay: Relay) -> None:
        """Select the CPU that stopped last, as GDB does."""
        number = relay.threads.get(relay.thread)
        for thread in gdb.selected_inferior().threads():
            if thread.num - 1 == number:
                thread.switch()

    def _serve_in_gdb(self, handle: Handler, relay: Relay | None) -> bool:
        """Handle a stop of GDB's; with a relay, the first repair is GDB's last stop."""
        served = self._serve_one(handle)
        self._relayed = served.goes_on and served.through is not None and relay is not None
        return served.goes_on and not self._relayed

    def _serve_one(self, handle: Handler) -> Served:
        """Handle one stop; an error ends the service, and physical mode is off before the guest runs."""
        try:
            machine = self.machine()
            try:
                served = handle(machine)
                if served.through is not None:
                    self.jump(served.through)
                self.written()
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


def _stop_reason(event: gdb.StopEvent) -> str:
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


def machine_pc() -> int:
    """Give the selected CPU's pc."""
    return unsigned(gdb.newest_frame().read_register("pc"))


def forget_registers() -> None:
    """Have GDB ask the stub again for what it remembers of registers and frames."""
    with suppress(gdb.error):
        gdb.execute("maintenance flush register-cache", to_string=True)


def user_places() -> frozenset[int] | None:
    """Give where the user's breakpoints are, None where that cannot be told: GDB says so from 13 on."""
    places: set[int] = set()
    for each in gdb.breakpoints():
        if not each.enabled or not each.visible:
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
