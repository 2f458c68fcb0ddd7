"""Hardware watchpoints on descriptors: a stop is a document, and the guest runs on or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import gdb

from gdbtools.addresses import VA
from gdbtools.analysis.frames import Frame, told
from gdbtools.arch.walk import walk
from gdbtools.errors import GdbtoolsError
from gdbtools.machine.model import Machine
from gdbtools.printable import in_a_line

DEPTH = 256
"""How many frames are looked through at most: a damaged stack may have no end."""


class DescriptorWatchpoint(gdb.Breakpoint):
    """A watchpoint on one virtual address of a descriptor.  `look` prints the change, if there is one."""

    def __init__(self, va: VA, size_bytes: int, look: Callable[[Sequence[Frame]], bool], stops: bool) -> None:
        # Of any access, not of writes: GDB keeps quiet about a write that makes the value what it last saw, as when
        # the guest takes back what gdbtools wrote in between.
        #
        # Whoever the architecture is, and without symbols: an integer of that size is all that is needed.
        kind = {4: "unsigned int", 8: "unsigned long long"}[size_bytes]
        super().__init__(f"*({kind} *) {va:#x}", gdb.BP_WATCHPOINT, gdb.WP_ACCESS)
        self._look = look
        self._stops = stops

    def stop(self) -> bool:
        try:
            changed = self._look(list(_frames()))
        except (GdbtoolsError, gdb.error) as error:
            gdb.write(f"mmu: {in_a_line(str(error))}\n", gdb.STDERR)
            return True
        return changed and self._stops


def may_execute(machine: Machine, pc: int) -> bool:
    """Return whether the level that runs may execute an address, by the tables; True where that is not known."""
    try:
        architecture = machine.architecture
        regime = architecture.regime_for(machine.register, VA(pc))
        found = walk(regime, VA(pc), machine.memory.read)
        attributes = found.attributes
        if found.refused or attributes is None:
            return False
        rights = attributes.rights.get(architecture.privilege(machine.register))
        return rights is None or rights.execute
    except GdbtoolsError:
        return True


def frames() -> list[str]:
    """Return the frames of who runs, innermost first: address, function and, where it is known, source line."""
    return told(_frames())


def _frames() -> Iterator[Frame]:
    """Yield frames for as long as there is code: where the unwinder has gone astray no function is known."""
    frame: gdb.Frame | None = gdb.newest_frame()
    for _ in range(DEPTH):
        if frame is None:
            return
        try:
            place = frame.find_sal()
            source = f"{place.symtab.filename}:{place.line}" if place.symtab else ""
            pc, name = int(frame.pc()), frame.name() or ""
            if not name:
                gdb.selected_inferior().read_memory(pc, 1)
            yield Frame(pc, name, source, frame.type() == gdb.INLINE_FRAME)
            frame = frame.older()
        except gdb.error:
            return
