"""A recording that QEMU replays, gone through in both directions: `bc` and `bs` of the gdbstub, its monitor's breaks.

The packets go past GDB, which would report each stop, and stop at each breakpoint.  `replay_seek` is not used: from
QEMU 8.1 on the stub does not say when it has arrived (seen in 10.0 and 11.1).
"""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import gdb

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.identity import Emulator
from gdbtools.errors import Interrupted, Refused, Unavailable
from gdbtools.live.console import monitor
from gdbtools.live.interrupt import EVERY_SECONDS, Interrupt
from gdbtools.live.step import forget
from gdbtools.live.stub.rsp import open_wire
from gdbtools.live.stub.target import Attachment
from gdbtools.machine.live.gdbstub import Silent, StubLost, Wire

ABILITY = b"ReverseContinue+"
WRITE = "Z2", "z2"
BACK, STEP_BACK, FORWARD, STEP = "bc", "bs", "vCont;c", "vCont;s"
WATCHED, STOPPED, EXITED = b"watch:", b"T", b"W"
_POSITION = re.compile(r"instruction count = (\d+)")
_DEVICE = r"^\s*dev: {},"
RECORDING = "Recording"
HOW = (
    "-icount shift=auto,rr=record,rrfile=RECORDING,rrsnapshot=start -drive file=SNAPSHOTS,if=none,id=snapshots (of "
    "`qemu-img create -f qcow2 SNAPSHOTS 1G`); when it has happened end QEMU, start the same with rr=replay, and ask"
)


def check(supported: bytes, said: str, emulator: Emulator | None, devices: Callable[[], str]) -> None:
    """Refuse a stub that cannot run backwards.

    By what `qSupported` and `info replay` say, and `devices` of `info qtree`; `emulator` is the QEMU as far as known.
    """
    known = None if emulator is None else (emulator.program, "...", emulator.recorded_with)
    command = "QEMU ..." if known is None else " ".join(filter(None, known))
    if RECORDING in said:
        raise Refused(
            "this guest is being recorded: end QEMU, start it again with rr=replay instead of rr=record, and ask"
        )
    if ABILITY not in supported:
        raise Refused(f"this guest is not replayed, so it cannot run backwards; record it: {command} {HOW}")
    if emulator is None or not emulator.never_back_with:
        return
    if re.search(_DEVICE.format(re.escape(emulator.never_back_with)), devices(), re.MULTILINE):
        raise Refused(
            f"QEMU would hang as it goes back: its {emulator.never_back_with} waits for a CPU that waits for it; "
            f"record again, and replay, with {emulator.recorded_with}"
        )


@dataclass
class Replay:
    """The recording of a guest that is stopped."""

    wire: Wire
    monitor: Callable[[str], str]
    interrupt: Interrupt
    release: Callable[[], None]
    """Leave the stub as it is when nobody reads physical memory, before the guest moves."""
    watched: Sequence[tuple[int, int]] = ()
    """(virtual address, size in bytes) of what `back` looks for."""
    minded: bool = True
    """Whether Ctrl-C is heard."""

    @property
    def position(self) -> int:
        found = _POSITION.search(self.monitor("info replay"))
        if found is None:
            raise Unavailable("QEMU's monitor does not say where in the recording the guest is (`info replay`)")
        return int(found[1])

    def back(self) -> bool:
        if not self.position:
            return False
        self._watching(BACK)
        return self.position > 0

    def stores(self) -> bool:
        """Step: QEMU stops before a store that is watched, and says so (7.2 to 11.1)."""
        if WATCHED in self._watching(STEP):
            return True
        self._move(STEP_BACK)
        return False

    def step_back(self) -> None:
        self._move(STEP_BACK)

    def go(self, position: int) -> None:
        while position < self.position:
            # With nothing to look for, it goes to the beginning.
            self._move(BACK)
        if position > self.position:
            self.monitor(f"replay_break {position}")
            self._move(FORWARD)
        if self.position != position:
            raise Refused(f"the recording has no instruction {position} to stop at; it has come to {self.position}")

    def _watching(self, how: str) -> bytes:
        self._each(WRITE[0])
        try:
            return self._move(how)
        finally:
            self._each(WRITE[1])

    def _each(self, how: str) -> None:
        answers = self.wire.ask([f"{how},{va:x},{size:x}" for va, size in self.watched])
        if any(answer != b"OK" for answer in answers):
            raise Refused("the gdbstub would not set a watchpoint on the descriptor")

    def _move(self, how: str) -> bytes:
        """Let the guest go one way until it stops by itself, or by Ctrl-C; returns what the stub says of the stop."""
        self.release()
        self.wire.send([how])
        answer = self._stopped()
        if answer.startswith(EXITED):
            raise Refused("the recording ends before that, and QEMU has ended with it; start the replay again")
        if not answer.startswith(STOPPED):
            raise Refused(
                "QEMU cannot go back here: the recording has no snapshot; record it with rrsnapshot=start, and -drive "
                f"file=SNAPSHOTS,if=none,id=snapshots (the gdbstub said {answer.decode(errors='replace')!r})"
            )
        if self.minded and self.interrupt.typed:
            self.minded = False
            if self.position:
                # Else QEMU takes the guest to be going backwards still, and no breakpoint stops it any more.
                self._move(STEP_BACK)
            raise Interrupted("interrupted")
        return answer

    def _stopped(self) -> bytes:
        waiting = select.poll()
        waiting.register(self.wire, select.POLLIN)
        if self.minded:
            waiting.register(self.interrupt, select.POLLIN)
        asked = False
        while (packet := self.wire.received()) is None:
            waiting.poll(1000 * EVERY_SECONDS if asked else None)
            if asked and self.interrupt.given_up:
                raise Silent("the gdbstub does not answer")
            if self.minded and self.interrupt.typed and not asked:
                asked = True
                waiting.unregister(self.interrupt)
                self.wire.interrupt()
                self.interrupt.told()
                continue
            self.wire.receive()
        return packet


@contextmanager
def replayed(attachment: Attachment, interrupt: Interrupt, places: Sequence[tuple[int, int]]) -> Iterator[Replay]:
    """Go through the recording of an attached guest, past GDB, which afterwards asks for everything again."""
    known = ARCHITECTURES.of_gdb(gdb.newest_frame().architecture().name())
    emulator = None if known is None else known.identity.emulator
    supported, said = attachment.stub.packet("qSupported"), monitor("info replay")
    check(supported, said, emulator, lambda: monitor("info qtree"))
    wire = open_wire(attachment.connection.details or "")
    if wire is None:
        raise Refused("GDB reaches this stub by no socket of its own; attach by `target remote HOST:PORT`")
    try:
        yield Replay(wire, monitor, interrupt, attachment.release, places)
    except StubLost as error:
        raise Unavailable(f"the connection to the gdbstub broke: {error}; attach again") from None
    finally:
        attachment.release()
        wire.close()
        forget()
