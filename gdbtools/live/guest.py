"""The running guest, as commands see it: jump, resume, catch, serve."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial

import gdb

from gdbtools.addresses import PA, VA
from gdbtools.analysis.frames import Frame, of_code, told
from gdbtools.arch.capabilities import Architecture, DirtyConvention
from gdbtools.errors import Refused
from gdbtools.live.catch import Catch, Catches
from gdbtools.live.console import console, monitor, show
from gdbtools.live.entering import enter
from gdbtools.live.history import Replay, replayed
from gdbtools.live.interrupt import Interrupt
from gdbtools.live.serving import Handler, Serving
from gdbtools.live.step import keeping, read, selection, step, write
from gdbtools.live.stub.target import Target
from gdbtools.live.stub.tlb import empty_tlb
from gdbtools.live.watch import DescriptorWatchpoint, frames, may_execute
from gdbtools.machine.layers import FixedRegisters, Overridden
from gdbtools.machine.live.qemu_ram import backing
from gdbtools.machine.model import CaughtFaults, Cpu, Machine, with_dirty
from gdbtools.printable import in_a_line
from gdbtools.render.document import Document

Look = Callable[[Machine, Sequence[str]], Document | None]


class LiveGuest:
    """A guest behind QEMU's gdbstub."""

    def __init__(self, target: Target, catches: Catches, dirty: Callable[[], DirtyConvention]) -> None:
        self._target = target
        self._dirty = dirty
        """How the user says that the guest marks what is dirty."""
        self._catches = catches
        self._interrupt: Interrupt | None = None
        self._serving: Serving | None = None
        self._handler: tuple[object, VA] | None = None
        """Where faults are handled, as somebody has said of one attachment."""
        self._touched: set[str] = set()
        self._watches: list[tuple[list[DescriptorWatchpoint], Look]] = []

    @property
    def serving(self) -> bool:
        """Whether access-flag faults are being repaired, so that no catch is to stop at them."""
        return self._serving is not None and self._serving.repairs

    @property
    def busy(self) -> bool:
        """Whether the guest runs for a command, which is the one to speak of its stops."""
        return self._serving is not None

    def machine(self) -> Machine:
        machine = self._handled(self._target.machine(self))
        stated = self._dirty()
        if stated is DirtyConvention.NONE:
            return machine
        if machine.live is None:
            return with_dirty(machine, stated, "as `set mmu-dirty` says")
        return replace(machine, architecture=machine.architecture.reading_dirty(stated))

    def _handled(self, machine: Machine) -> Machine:
        """Return the machine with where its faults are handled, if somebody has said so of this guest."""
        if self._handler is None or self._handler[0] is not self._target.attachment:
            return machine
        name = machine.architecture.exceptions.handler_register
        said = FixedRegisters({name: self._handler[1]}, "--handler")
        cpus = tuple(Cpu(each.number, Overridden(each.registers, said)) for each in machine.cpus)
        return replace(machine, cpus=cpus)

    def past_stub(self, allowed: bool) -> None:
        """Report whether the guest's RAM may be reached past the stub, where that can be done."""
        if self._target.attachment is not None:
            self._target.attachment.memory.past_stub = allowed

    def describe(self) -> Sequence[tuple[str, str]]:
        attachment = self._target.attached()
        connection = attachment.connection
        known = {register.name for register in gdb.newest_frame().architecture().registers()}
        architecture = self.machine().architecture
        # A stub calls them by capitals, or by what they are declared as.
        system = sum(name.isupper() for name in known) or len(known & set(architecture.registers))
        # The root of its tables comes first.
        has_tables = architecture.principal[0] in known
        writable = bool(_overwritten(architecture))
        kept = f"{system}, read-only" if not writable else f"{system}"
        writes = "system registers too" if writable else "not system registers"
        return (
            ("connection", f"{connection.type} {connection.details or ''}, {self._qemu_version()}"),
            ("system registers", kept if has_tables else "none: this stub does not expose them"),
            ("writes", f"physical memory, general registers, pc; {writes}"),
            ("catching", ", ".join(map(_caught, self._catches.active)) or "nothing"),
        )

    def _qemu_version(self) -> str:
        try:
            # The last line: `set trace-commands on` puts one of its own before it.
            return f"QEMU {monitor('info version').strip().splitlines()[-1]}"
        except (gdb.error, IndexError):
            return "which has no monitor"

    def send(self, registers: Mapping[str, int]) -> None:
        self._target.attached().release()
        pc = self.machine().architecture.pc
        # Whatever else is set belongs to the frame that pc has.
        for name in sorted(registers, key=lambda name: name == pc):
            try:
                write({name: registers[name]})
            except gdb.error as error:
                raise Refused(f"the gdbstub would not set {name}: {error}") from None
        for name, value in registers.items():
            if read((name,))[name] != value:
                raise Refused(f"{name} did not become {value:#x}; does another debugger hold this guest?")

    def keeping(self) -> AbstractContextManager[None]:
        architecture = self.machine().architecture
        there = {register.name for register in gdb.newest_frame().architecture().registers()}
        # Of what exceptions overwrite a CPU may lack what goes with an extension.
        kept = (*architecture.general, *(name for name in _overwritten(architecture) if name in there))
        return keeping(self._target.attached(), kept, self._touched)

    def step(self, address: VA, registers: Mapping[str, int]) -> None:
        pc = self.machine().architecture.pc
        step(self._target.attached(), pc, {**registers, pc: address}, self._touched)

    @contextmanager
    def on(self, cpu: int) -> Iterator[Machine]:
        self._target.attached().release()
        wanted = next(each for each in gdb.selected_inferior().threads() if each.num == cpu + 1)
        with selection():
            wanted.switch()
            try:
                yield self.machine()
            finally:
                self._target.attached().release()

    def enter(self, cpu: int, entries: Collection[VA], seconds: float) -> str:
        with self.interruptible() as interrupt:
            return enter(self._target.attached(), cpu, entries, interrupt, seconds)

    def resume(self) -> None:
        self._target.attached().release()
        gdb.execute("continue")

    def catch(self, wanted: CaughtFaults) -> Sequence[tuple[int, VA, str]]:
        return self._catches.add(self.machine(), wanted)

    def catches(self, wanted: CaughtFaults) -> bool:
        return self._catches.existing(self.machine(), wanted) is not None

    def handled_at(self, address: VA) -> None:
        self._handler = self._target.attached(), address

    def watch(
        self,
        addresses: Sequence[VA],
        size_bytes: int,
        look: Look,
        stops: bool,
    ) -> Sequence[int]:
        def changed(writer: Sequence[Frame]) -> bool:
            try:
                machine = self.machine()
                document = look(machine, told(of_code(writer, partial(may_execute, machine))))
                self._target.attached().make_sure()
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
    def recorded(self, places: Sequence[tuple[VA, int]]) -> Iterator[Replay]:
        with self.interruptible() as interrupt, replayed(self._target.attached(), interrupt, places) as found:
            yield found

    def symbol(self, address: VA) -> str:
        """Return `NAME + OFFSET` of what GDB knows at a virtual address, empty where it knows nothing."""
        said = console(f"info symbol {address:#x}").strip().splitlines()[-1:]
        return said[0].partition(" in section ")[0] if said and " in section " in said[0] else ""

    def backing(self, pa: PA) -> str | None:
        self._target.attached().release()
        try:
            return backing(monitor("info mtree -f"), pa)
        except gdb.error:
            return None

    def serve(self, handle: Handler | None, seconds: float | None = None) -> str:
        # Each repair is between two answers of the stub's.
        self.past_stub(True)
        with self.interruptible() as interrupt, interrupt.within(seconds):
            self._serving = Serving(self, self._target, self._catches, handle, interrupt)
            try:
                return self._serving.run()
            finally:
                self._serving = None

    def announce(self, text: str, /) -> None:
        # No answer: what reads those reads them alone.
        gdb.write(f"mmu: {in_a_line(text)}\n", gdb.STDLOG)
        gdb.flush(gdb.STDLOG)

    def interrupted(self) -> bool:
        return self._interrupt is not None and self._interrupt.typed

    @contextmanager
    def interruptible(self) -> Iterator[Interrupt]:
        """Keep Ctrl-C for `serve`, from before it until after: within such a block, another is the same."""
        if self._interrupt is not None:
            yield self._interrupt
            return
        connection = gdb.selected_inferior().connection
        details = connection.details if isinstance(connection, gdb.RemoteTargetConnection) else ""
        with Interrupt(details or "") as self._interrupt:
            try:
                yield self._interrupt
            finally:
                self._interrupt = None


def _overwritten(architecture: Architecture) -> Sequence[str]:
    """Return the system registers that a stub lets be written, so that instructions may be borrowed with them."""
    return architecture.gadgets.overwritten if architecture.has("gadgets") else ()


def _caught(catch: Catch) -> str:
    wanted = catch.wanted
    said = wanted.kind if wanted.regime is None else f"{wanted.kind} of {wanted.regime}"
    return " ".join([said, *filter(None, (wanted.access, wanted.privilege))])
