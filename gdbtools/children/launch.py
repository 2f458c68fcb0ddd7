"""`gdbtools run`: what is added to a QEMU's command line and why, and that QEMU as a child."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from gdbtools.arch import ARCHITECTURES
from gdbtools.children.folders import SHARED_MEMORY
from gdbtools.children.processes import DIES_WITH_PARENT, START_SECONDS, ended_how
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.live.process import listens
from gdbtools.places import place
from gdbtools.render.document import Document, Facts, Line, Role, Span, Text, labelled
from gdbtools.wording import amount

VALUE_COLUMNS = 66
"""What is left of a screen beside the name of an option."""
RAM = "ram"
"""The file in its folder that is the guest's RAM."""
_EMULATORS = [each.emulator for each in ARCHITECTURES.identities]
_RAM_MACHINES = tuple(dict.fromkeys(name for each in _EMULATORS for name in each.ram_machines))
_WITH_A_BACKEND = re.compile(rf"({'|'.join(_RAM_MACHINES)}|pc-q35|pc-i440fx)(-\d+\.\d+)?")
"""Machines whose RAM may be given as a memory backend, and those of a version of QEMU."""
_MACHINE_END = 20
"""Where e_machine ends in an ELF file."""
_UNITS = {"": 20, "k": 10, "m": 20, "g": 30, "t": 40}


@dataclass(frozen=True)
class Addition:
    """Words that a command line gets, or (`words` empty) what it does not get, and why."""

    words: tuple[str, ...]
    why: str
    what: str = ""


@dataclass(frozen=True)
class LaunchPlan:
    """A QEMU's command line as it will be started.

    `address` is where GDB finds its stub, `socket` the path to wait for (None: the user's own stub), `elf` a kernel
    that has symbols.
    """

    command: tuple[str, ...]
    additions: tuple[Addition, ...]
    folder: Path
    address: str
    socket: Path | None
    elf: Path | None
    lock: int | None = None
    """The descriptor of the folder's lock, which QEMU holds too."""


def plan(words: Sequence[str], folder: Path, room_bytes: int) -> LaunchPlan:
    """Complete a QEMU's command line; pure.

    `folder` is for its sockets, `room_bytes` how much RAM may be kept in it as a file.  Raises `UsageError` for a
    command line that is none.
    """
    if not words:
        emulator = ARCHITECTURES.identities[0].emulator
        like = f"{emulator.program} -M {emulator.machine} ... -kernel FILE"
        raise UsageError(f"say which QEMU to run: gdbtools run -- {like}")
    stub, address, socket = _stub(words, folder)
    stop = () if has(words, "S") else (Addition(("-S",), "waits at reset, so that nothing has run before you look"),)
    qmp = Addition(
        ("-qmp", f"unix:{folder / 'qmp'},server=on,wait=off"),
        "a QMP socket: for other tools, also while the guest runs",
    )
    additions = (*stop, *stub, _ram(words, folder, room_bytes), *(() if has(words, "qmp") else (qmp,)), *_serial(words))
    command = (*words, *(word for each in additions for word in each.words))
    return LaunchPlan(command, additions, folder, address, socket, _elf(words))


def has(words: Sequence[str], option: str) -> bool:
    """Return whether an option is there; QEMU takes one dash or two."""
    return any(word in (f"-{option}", f"--{option}") for word in words)


def values(words: Sequence[str], *options: str) -> list[str]:
    """Return what follows each of these options."""
    wanted = {f"{dashes}{option}" for option in options for dashes in ("-", "--")}
    return [after for word, after in pairwise(words) if word in wanted]


def _stub(words: Sequence[str], folder: Path) -> tuple[tuple[Addition, ...], str, Path | None]:
    if has(words, "s"):
        return (), ":1234", None
    for given in values(words, "gdb"):
        path = re.match(r"unix:([^,]+)", given)
        port = re.match(r"tcp:([^,:]*:\d+)", given)
        if path or port:
            return (), (path or port)[1], Path(path[1]) if path else None  # type: ignore[index]
    socket = folder / "gdb"
    why = "the gdbstub, on a socket that nobody else can reach, instead of a port"
    return (Addition(("-gdb", f"unix:{socket},server=on,wait=off"), why),), str(socket), socket


def _ram(words: Sequence[str], folder: Path, room_bytes: int) -> Addition:
    what = "RAM as a shared file"
    machines = values(words, "M", "machine")
    sizes = values(words, "m")
    own = has(words, "mem-path") or has(words, "numa") or any("memory-backend" in each for each in machines)
    size_bytes = _size(sizes[-1]) if sizes else None
    if own:
        return Addition((), "left out: the command line has a memory backend of its own", what)
    emulator = ARCHITECTURES.emulator_of(Path(words[0]).name)
    if emulator is not None and emulator.default_machine and not any(each[:1].isalpha() for each in machines):
        machines = [*machines, emulator.default_machine]
    if not any(_WITH_A_BACKEND.fullmatch(each.partition(",")[0].removeprefix("type=")) for each in machines):
        known = " and ".join(f"-M {each}" for each in (_EMULATORS[0] if emulator is None else emulator).ram_machines)
        return Addition((), f"left out: known only for {known}", what)
    if size_bytes is None:
        return Addition((), "left out: the command line does not say how much there is (-m 512M)", what)
    if size_bytes > room_bytes:
        return Addition((), f"left out: {SHARED_MEMORY} has no room for {amount(size_bytes)}", what)
    backend = f"memory-backend-file,id=gdbtools-ram,size={size_bytes >> 20}M,mem-path={folder / RAM},share=on"
    why = "guest memory as a file in memory: tables are read in microseconds, not over the gdbstub"
    return Addition(("-object", backend, "-machine", "memory-backend=gdbtools-ram"), why)


def _size(text: str) -> int | None:
    found = re.match(r"(?:size=)?(\d+)([kmgt]?)b?(,|$)", text.lower())
    return int(found[1]) << _UNITS[found[2]] if found else None


def _serial(words: Sequence[str]) -> tuple[Addition, ...]:
    given = values(words, "serial", "monitor", "chardev")
    if not has(words, "nographic") and not any(each.startswith(("stdio", "mon:stdio")) for each in given):
        return ()
    why = "shown above the prompt as it comes; it gets no input (for that: -serial unix:PATH,server=on,wait=off)"
    return (Addition((), why, "console"),)


def _elf(words: Sequence[str]) -> Path | None:
    """Return the kernel, if it is an ELF file: the one whose symbols are the guest's."""
    for each in values(words, "kernel"):
        with suppress(OSError), open(each, "rb") as file:
            if file.read(4) == b"\x7fELF":
                return Path(each)
    return None


def explained(made: LaunchPlan) -> Document:
    """Return what `run` does to a command line, as `--dry-run` shows it."""
    added = [row for each in made.additions if each.words for row in _added(each)]
    rows: list[tuple[str, Text]] = [(each.what, each.why) for each in made.additions if not each.words]
    rows.append(("GDB", f"attaches to {made.address}"))
    rows.append(("symbols", str(made.elf) if made.elf else "none: --elf FILE gives them"))
    head: list[str | Span] = [Span(made.command[0], Role.NAME), " would be started, and ended with the prompt."]
    return Document([Line([*head, " To its command line this is added:"]), Facts(added), Facts(rows)])


def _added(each: Addition) -> Iterator[tuple[str, Text]]:
    """Yield each option of an addition with its value, and why it is there."""
    if len(each.words) == 1:
        yield each.words[0], each.why
        return
    for option, value in zip(each.words[::2], each.words[1::2], strict=True):
        yield from labelled(option, [Span(line, Role.COMMAND) for line in _lines(value)])
    yield "", each.why


def _lines(value: str) -> Iterator[str]:
    """Yield a value of QEMU's in lines that a screen has room for, broken behind commas."""
    line = ""
    for part in re.findall(r"[^,]*,?", value):
        if line and len(line) + len(part) > VALUE_COLUMNS:
            yield line
            line = ""
        line += part
    yield line


def guest_words(name: str) -> list[str]:
    """Return the command line for one of the guests in fixtures/guests, by name; `UsageError` names those there are."""
    guests = place("fixtures/guests")
    known = {
        each.parent.relative_to(guests).as_posix(): each
        for each in (*guests.glob("*/*.elf"), *guests.glob("*/*/*.elf"))
        if each.stem == each.parent.name
    }
    if name not in known:
        raise UsageError(f"there is no guest {name!r}; there are {', '.join(sorted(known))}")
    with known[name].open("rb") as file:
        identity = ARCHITECTURES.of_elf(int.from_bytes(file.read(_MACHINE_END)[_MACHINE_END - 2 :], "little"))
    emulator = _EMULATORS[0] if identity is None else identity.emulator
    shape = ["-M", emulator.machine, "-cpu", emulator.cpu, "-m", "128M"]
    quiet = ["-nic", "none", "-display", "none", "-monitor", "none", "-serial", "stdio"]
    return [emulator.program, *shape, *quiet, "-kernel", str(known[name])]


ADVICE = {"romfile": "add -nic none, or on Debian and Ubuntu: apt-get install ipxe-qemu"}
"""What helps where QEMU says a word: its package for Arm has boot ROMs of network cards in another, not installed."""


@dataclass
class Launched:
    """A QEMU as a child: what it prints goes to `printed`, and `ended` hears how it ended, if nobody ended it."""

    made: LaunchPlan
    printed: Callable[[str], None]
    ended: Callable[[str], None]
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)
    _watching: asyncio.Task[None] | None = field(default=None, init=False)
    _said: str = field(default="", init=False)
    """What it printed before its gdbstub was there."""
    _started: bool = field(default=False, init=False)
    _leaving: bool = field(default=False, init=False)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait for its gdbstub; raises `Unavailable` with what QEMU said if it does not come."""
        program = shutil.which(self.made.command[0])
        if program is None:
            emulator = ARCHITECTURES.emulator_of(Path(self.made.command[0]).name)
            package = "qemu-system" if emulator is None else emulator.package
            raise Unavailable(
                f"{self.made.command[0]} is not installed; on Debian and Ubuntu: apt-get install {package}"
            )
        # RAM too: what a guest before this one left in it would be there at this one's reset.
        for old in (self.made.socket, self.made.folder / RAM):
            if old is not None:
                old.unlink(missing_ok=True)
        self._said, self._started = "", False
        self._process = await asyncio.create_subprocess_exec(
            *DIES_WITH_PARENT,
            program,
            *self.made.command[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            pass_fds=() if self.made.lock is None else (self.made.lock,),
        )
        self._watching = asyncio.create_task(self._watch(self._process))
        for _ in range(START_SECONDS * 50):
            if not self.alive:
                await self._watching
                break
            if self.made.socket is None or listens(self.made.socket):
                self._started = True
                self.printed(self._said)
                return
            await asyncio.sleep(0.02)
        said = " ".join(self._said.split())
        await self.leave()
        advice = next((f"; {what}" for word, what in ADVICE.items() if word in said), "")
        raise Unavailable(f"QEMU did not start: {said or f'no gdbstub after {START_SECONDS} s'}{advice}")

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while data := await process.stdout.read(1 << 14):
            text = data.decode(errors="replace")
            if self._started and not self._leaving:
                self.printed(text)
            elif not self._started:
                self._said += text
        status = await process.wait()
        if self._started and not self._leaving:
            self.ended(ended_how(status))

    async def leave(self) -> None:
        """End QEMU: politely, so that its disks are whole, then by force."""
        self._leaving = True
        if self._process is not None and self.alive:
            for how in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    self._process.send_signal(how)
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._process.wait(), 2)
                    break
        if self._watching is not None:
            self._watching.cancel()
        self._leaving = False

    async def remove(self) -> None:
        """End it, and take its folder away."""
        await self.leave()
        shutil.rmtree(self.made.folder, ignore_errors=True)
