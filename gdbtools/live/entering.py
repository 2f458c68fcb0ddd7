"""One CPU that runs alone, the others as they stand, until it takes an exception or an interrupt."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import gdb

from gdbtools.addresses import VA
from gdbtools.live.interrupt import Interrupt
from gdbtools.live.serving import VectorBreakpoint, stop_reason
from gdbtools.live.step import selection
from gdbtools.live.stub.registers import machine_pc
from gdbtools.live.stub.target import Attachment


def enter(attachment: Attachment, cpu: int, entries: Collection[VA], interrupt: Interrupt, seconds: float) -> str:
    """Run a CPU to one of these addresses; return why it is not there, empty where it is.

    The user's breakpoints stop it on its way, and so do Ctrl-C and the end of that time.
    """
    attachment.release()
    wanted = next(each for each in gdb.selected_inferior().threads() if each.num == cpu + 1)
    ended: list[str] = []
    breakpoints: list[VectorBreakpoint] = []

    def stopped(event: gdb.StopEvent) -> None:
        ended.append(stop_reason(event))

    with selection():
        wanted.switch()
        # QEMU tells a stop that no breakpoint makes of the CPU that `Hc` named last, whichever ran; of one that GDB did
        # not resume it dies ("skip_inline_frames: Assertion", GDB 13 and 18).
        process, number, _ = wanted.ptid
        attachment.stub.packet(f"Hcp{process:x}.{number:x}")
        gdb.events.stop.connect(stopped)
        try:
            breakpoints += [VectorBreakpoint(address, lambda: False) for address in entries]
            with _alone(), interrupt.within(seconds), interrupt.by_gdb():
                gdb.execute("continue")
                late = interrupt.wanted and not interrupt.typed
        finally:
            gdb.events.stop.disconnect(stopped)
            for each in breakpoints:
                if each.is_valid():
                    each.delete()
        if machine_pc() in entries:
            return ""
    if late:
        return f"after {seconds:g} s it"
    return "Ctrl-C came, and it" if interrupt.typed else f"{ended[-1] if ended else 'it'} came first, and it"


@contextmanager
def _alone() -> Iterator[None]:
    """Have GDB let the selected CPU run, and no other."""
    setting = "scheduler-locking"
    before = gdb.parameter(setting)
    gdb.execute(f"set {setting} on")
    try:
        yield
    finally:
        gdb.execute(f"set {setting} {before}")
