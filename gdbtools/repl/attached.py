"""A prompt on a guest: GDB answers for it while it is stopped, and what was kept of the stop while it runs."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import Architecture
from gdbtools.children.debugger import Debugger, DebuggerReply, Detached, Event, Gone, Printed, Resumed, Stopped
from gdbtools.children.launch import Launched, LaunchPlan
from gdbtools.children.stub_holder import holder
from gdbtools.errors import GdbtoolsError, Interrupted, Unavailable
from gdbtools.machine.live.gdbstub import architectural
from gdbtools.machine.model import Machine
from gdbtools.machine.sources import open_source
from gdbtools.machine.symbols import Symbols
from gdbtools.repl import mmu_client
from gdbtools.repl.command_line import STEPS, ForGdb, Question, behind, first_word
from gdbtools.repl.events import Hear, PromptNote, ScanEnded
from gdbtools.repl.opened import snapshot_question
from gdbtools.repl.session import Answered, Doing, PromptSubject, State, state_of

ATTACH_SECONDS = 10.0
WITHOUT = "if that is in the way, --nx leaves ~/.gdbinit out"
END = "end that one, or have it say: disconnect"
WHY_NOT = {
    Doing.RUNNING: "the guest is running; Ctrl-C stops it",
    Doing.BUSY: "the guest is being served; Ctrl-C stops it",
    Doing.ABSENT: "no guest is attached; `reconnect` attaches to {address}",
    Doing.LOST: "GDB is gone; `reconnect` starts it again and attaches to {address}",
}
"""Why only what was kept can be asked."""
PIECE_SECONDS = 0.05
"""How long a piece of a line waits for its rest."""


@dataclass(frozen=True)
class AttachTarget:
    """What to attach to, and with what.

    `launch` is a QEMU to start first, `init` the file to source inside GDB; `plain` leaves the user's own GDB
    initialization out, and `keeps` says whether each stop is kept for questions while the guest runs.
    """

    address: str
    init: Path
    elf: Path | None = None
    gdb: str = ""
    launch: LaunchPlan | None = None
    plain: bool = False
    keeps: bool = True


class Attached(PromptSubject):
    """A prompt's session on a guest behind a gdbstub."""

    def __init__(self, hear: Hear, target: AttachTarget, width: int) -> None:
        super().__init__(hear)
        self._target = target
        self._width = width
        self._folder = tempfile.TemporaryDirectory(prefix="gdbtools-")
        self._symbols = Symbols(target.elf)
        self._debugger = Debugger(self._heard, target.gdb)
        self._guest = Launched(target.launch, self._guest_printed, self._guest_ended) if target.launch else None
        self._quiet = True
        """Whether what GDB prints is of no interest: while it is set up."""
        self._kept: Path | None = None
        """What was kept of the last stop, a capture: opened when it is asked about."""
        self._kept_machine: Machine | None = None
        self._kept_for_this_run = False
        self._resumed_at = 0.0
        self._piece = ""
        """What the guest has printed of a line so far."""
        self._idle = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._registers: Collection[str] | None = None
        # What is completed until GDB has said what the guest is.
        self._architecture = next(iter(ARCHITECTURES))

    @property
    def architecture(self) -> Architecture:
        return ARCHITECTURES[self._architecture]

    @property
    def registers(self) -> Collection[str] | None:
        return self._registers

    @property
    def files(self) -> Collection[str]:
        return self._symbols.files

    # Connecting and parting.

    async def open(self) -> None:
        """Start what is not there, QEMU and GDB, and attach."""
        self._quiet = True
        try:
            if self._guest is not None and not self._guest.alive:
                await self._guest.start()
            if not self._debugger.alive:
                await self._start_gdb()
            elif self._debugger.attached:
                await self._debugger.ask("disconnect")
            reply = await self._attach()
        finally:
            self._quiet = False
        if not self._debugger.attached:
            self.state = State(Doing.ABSENT)
            raise Unavailable(
                f"GDB cannot attach to {self._target.address} ({reply.error.rstrip('.')}): start QEMU with -s, or say "
                "where its gdbstub is: gdbtools attach HOST:PORT or unix:/path"
            )
        listed = await self._debugger.ask("-data-list-register-names", unasked=True)
        self._registers = architectural(listed.results.get("register-names", ())) or None
        self.state = State(Doing.STOPPED)
        self._idle.set()
        if reply.error:
            self.say(f"Attached; a hook of GDB's own set-up failed meanwhile ({reply.error.rstrip('.')}): {WITHOUT}.")
        try:
            await mmu_client.answer(self._debugger, "status", ("--json",))
        except Unavailable as missing:
            self.say(f"{str(missing)[:1].upper()}{str(missing)[1:]}.")

    async def _attach(self) -> DebuggerReply:
        """Have GDB attach; raises `Unavailable` at once where it is known that nobody would answer."""
        held = holder(self._target.address)
        if held:
            self.state = State(Doing.ABSENT)
            raise Unavailable(
                f"{held} is attached to {self._target.address}, which serves one debugger at a time: {END}"
            )
        asked = asyncio.ensure_future(self._debugger.ask(f"target remote {self._target.address}"))
        done, _ = await asyncio.wait({asked}, timeout=ATTACH_SECONDS)
        if not done:
            self._debugger.interrupt()
            await asyncio.wait({asked}, timeout=ATTACH_SECONDS)
            asked.cancel()
            self.state = State(Doing.ABSENT)
            raise Unavailable(
                f"{self._target.address} takes the connection and says nothing: is another debugger attached to it, or "
                "its QEMU stopped? A gdbstub serves one debugger at a time"
            )
        return await asked

    async def _start_gdb(self) -> None:
        self._debugger = Debugger(self._heard, self._target.gdb)
        self._debugger.start(["-nx"] if self._target.plain else [])
        retries = "on" if self._guest is not None else "off"
        # Where the locale is C, GDB 18 sources no path that has another than an ASCII letter; and we speak UTF-8.
        characters = "host-charset UTF-8"
        settings = (characters, "confirm off", "pagination off", "style enabled off", f"width {self._width}")
        setup = [
            "-gdb-set mi-async on",
            *(f"-gdb-set {each}" for each in (*settings, f"tcp auto-retry {retries}")),
            f"source {self._target.init}",
            *([f"file {self._target.elf}"] if self._target.elf else []),
        ]
        for reply in await asyncio.gather(*(self._debugger.ask(each) for each in setup)):
            if reply.error:
                raise Unavailable(f"GDB cannot be set up: {reply.error}")

    async def close(self) -> None:
        """End what was started; a guest that was not is let go, as GDB lets it go."""
        self._quiet = True
        if self._guest is not None:
            await self._guest.remove()
        await self._debugger.leave()
        self._folder.cleanup()

    # Asking.

    async def ask(self, question: Question) -> Answered:
        if self.waits or (self._kept is not None and self.state.doing in (Doing.ABSENT, Doing.LOST)):
            return self._ask_what_was_kept(question)
        runs = question.command.runs_guest
        if runs:
            await self._keep()
            self._idle.clear()
            self._resumed_at = time.monotonic()
            self.state = replace(self.state, doing=Doing.BUSY)
        try:
            answered = await mmu_client.answer(self._debugger, question.command.name, question.words, runs)
        except GdbtoolsError:
            if self.state.doing is Doing.ABSENT:
                # GDB would speak of the first register that it misses.
                raise Unavailable(f"no guest is attached; `reconnect` attaches to {self._target.address}") from None
            raise
        finally:
            if runs:
                await self.look()
                self._idle.set()
        if question.command.changes_guest and not runs:
            await self.look()
        return answered

    def _ask_what_was_kept(self, question: Question) -> Answered:
        why = WHY_NOT[self.state.doing].format(address=self._target.address)
        if question.command.live_only or question.command.changes_guest:
            raise Unavailable(f"`{question.command.name}` needs the guest stopped, and {why}")
        if self._kept is None:
            raise Unavailable(f"nothing was kept of the last stop, and {why}")
        if self._kept_machine is None:
            self._kept_machine = open_source(str(self._kept))
        answered = snapshot_question(self._kept_machine, question, self._symbols, self.hear, why)
        seconds = time.monotonic() - self._resumed_at
        return replace(answered, note=f"As of the last stop, {seconds:.0f} s ago: {why}.")

    async def through(self, line: ForGdb) -> int:
        if self.state.doing is Doing.BUSY:
            raise Unavailable("GDB is at a command that runs the guest; Ctrl-C ends it")
        text = line.text
        if "\n" in text:
            script = Path(self._folder.name) / "typed.gdb"
            script.write_text(f"{text}\n")
            text = f"source {script}"
        elif line.runs:
            if first_word(text) not in STEPS:
                await self._keep()
            text = behind(text)
        reply = await self._debugger.ask(text)
        if reply.error and not reply.printed:
            self.hear(Printed(f"{reply.error}\n", is_error=True))
        if self._debugger.alive and not self._debugger.running:
            await self.look()
        return 2 if reply.error else 0

    async def select(self, cpu: int) -> None:
        if self.waits:
            raise Unavailable("the guest is running; Ctrl-C stops it")
        reply = await self._debugger.ask(f"-thread-select {cpu + 1}")
        if reply.error:
            raise Unavailable(f"there is no CPU {cpu}; this guest has {self.state.cpus}, from 0 on")
        await self.look()

    async def symbols(self, prefix: str) -> Sequence[str]:
        start = "print &"
        return [each.removeprefix(start) for each in await self.completions(f"{start}{prefix}") if each.isprintable()]

    async def completions(self, line: str) -> Sequence[str]:
        return () if self._deaf else await mmu_client.completions(self._debugger, line)

    async def explanation(self, name: str) -> str:
        return "" if self._deaf else await mmu_client.explanation(self._debugger, name)

    @property
    def _deaf(self) -> bool:
        """Whether GDB would not answer now, because it waits for the guest, or is gone."""
        return not self._debugger.alive or self._debugger.waits or self.state.doing is Doing.BUSY

    # Running.

    async def resume(self) -> None:
        await self.through(ForGdb("continue"))

    async def _keep(self) -> None:
        """Keep this stop's tables and registers, for questions while the guest runs.

        Ctrl-C ends that alone: who asked for the guest to go on, and saw nothing but this, would else take the same
        stop for the next.
        """
        self._kept = self._kept_machine = None
        self._kept_for_this_run = True
        if not self._target.keeps or not self._debugger.attached:
            return
        path = Path(self._folder.name) / "last-stop"
        try:
            await mmu_client.answer(self._debugger, "capture", (str(path),))
        except Interrupted:
            self.say("Interrupted: this stop is not kept. The guest goes on; Ctrl-C stops it.")
            return
        except GdbtoolsError:
            # Who asks while the guest runs is told that nothing was kept.
            return
        finally:
            # The guest's own output comes next, or none for long.
            self.hear(ScanEnded())
        self._kept = path

    def interrupt(self) -> None:
        self._debugger.interrupt()

    async def settled(self) -> None:
        await self._idle.wait()

    # Hearing.

    def _heard(self, event: Event) -> None:
        if isinstance(event, Resumed | Stopped) and self.state.doing is Doing.BUSY:
            return
        if isinstance(event, Resumed):
            self._idle.clear()
            if not self._kept_for_this_run:
                self._kept = None
            self._resumed_at = time.monotonic()
            self.state = replace(self.state, doing=Doing.RUNNING)
        elif isinstance(event, Stopped):
            self._kept_for_this_run = False
            if not self._quiet:
                self._spawn(self._after_stop())
        elif isinstance(event, Detached):
            self._part(Doing.ABSENT, "No guest is attached any more; `reconnect` attaches again.")
        elif isinstance(event, Gone):
            self._quiet = False
            self._part(Doing.LOST, f"GDB is gone ({event.how}); `reconnect` starts it again and attaches to the guest.")
        elif isinstance(event, Printed):
            if not self._quiet:
                self.hear(event)
        else:
            self.hear(event)

    def _part(self, doing: Doing, said: str) -> None:
        self.state = State(doing)
        self._idle.set()
        if not self._quiet:
            self.say(said)

    def _guest_printed(self, text: str) -> None:
        """Tell what the guest prints by lines: a piece of one waits a moment for its rest, as GDB prints between."""
        whole, newline, self._piece = (self._piece + text).rpartition("\n")
        if newline:
            self.hear(Printed(whole + newline))
        if self._piece:
            asyncio.get_running_loop().call_later(PIECE_SECONDS, self._guest_paused, self._piece)

    def _guest_paused(self, piece: str) -> None:
        if self._piece == piece:
            self._piece = ""
            self.hear(Printed(piece))

    def _guest_ended(self, how: str) -> None:
        self._guest_paused(self._piece)
        self.say(f"QEMU has ended ({how}); `reconnect` starts it again, from reset.")
        if self._debugger.attached and not self._debugger.running:
            self._spawn(self._disconnect())

    async def _disconnect(self) -> None:
        quiet, self._quiet = self._quiet, True
        with suppress(GdbtoolsError):
            await self._debugger.ask("-target-disconnect", unasked=True)
        self._quiet = quiet

    async def _after_stop(self) -> None:
        await self.look()
        if self.state.entry and self.state.verdict and not self._debugger.running:
            document = await mmu_client.verdict(self._debugger)
            if document is not None:
                self.hear(PromptNote(document))
        if not self._debugger.running and self.state.doing is not Doing.BUSY:
            self._idle.set()

    async def look(self) -> None:
        if not self._debugger.alive:
            return
        if not self._debugger.attached:
            self.state = State(Doing.ABSENT)
            return
        if self._debugger.running:
            return
        status = await mmu_client.record(self._debugger, "status")
        if status is not None and status["architecture"] in ARCHITECTURES:
            self._architecture = status["architecture"]
        fault = await mmu_client.record(self._debugger, "fault")
        place = await mmu_client.place(self._debugger)
        if self._debugger.attached and not self._debugger.running:
            self.state = state_of(Doing.STOPPED, self.architecture, status, fault, place)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
