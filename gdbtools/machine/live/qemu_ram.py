"""The RAM of a QEMU on this host, past its gdbstub: its backend's shared file, or the process's own memory.

Where RAM is, the monitor says: `info mtree -f` has the flat view of physical memory, `gpa2hva` an address in the
process.  What is there, the process's own map says, and only that of the process that answers.  What is read so is
believed only once it has been compared with what the stub reads; until then, wherever it differs, and for what is not
RAM, the stub is asked.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gdbtools.addresses import PA
from gdbtools.arch.model import Expect
from gdbtools.machine.live.process import Mapping, covering, is_qemu, mappings, open_mapped
from gdbtools.machine.model import PhysicalMemory, expected_by

Monitor = Callable[[str], str]
"""Return what QEMU's monitor (HMP) answers to a command."""

_VIEW = re.compile(r"^FlatView #\d+$", re.MULTILINE)
_MEMORY = re.compile(
    r"^\s*(?P<first>[0-9a-f]+)-(?P<last>[0-9a-f]+) \(prio -?\d+, (?:nv-)?(?P<kind>\w+)\): (?P<name>\S+)"
    r"(?: @(?P<offset>[0-9a-f]+))?",
    re.MULTILINE,
)
_REGION = re.compile(
    r"^\s*(?P<first>[0-9a-f]+)-(?P<last>[0-9a-f]+) \(prio -?\d+, (?P<kind>\S+)\): (?P<name>\S+)", re.MULTILINE
)
_KINDS = {"ram": "RAM", "rom": "ROM", "romd": "flash", "i/o": "the device"}
_HOST = re.compile(r"is (?P<address>0x[0-9a-f]+)")
CPU_SPACE = ' AS "cpu-memory-0"'


@dataclass(frozen=True)
class RamRange:
    """A range of guest physical memory that is RAM: which block's, and from where in it."""

    pa: PA
    size_bytes: int
    name: str
    offset: int


@dataclass
class Window:
    """A range of RAM, and how to reach its bytes by their offset.  `proved`: it has shown what the stub shows."""

    pa: PA
    size_bytes: int
    read: Callable[[int, int], bytes]
    write: Callable[[int, bytes], None]
    where: str
    proved: bool = False
    written: bool = False
    """Whether the stub has shown a write through this window."""

    def holds(self, pa: PA, size_bytes: int) -> bool:
        return self.pa <= pa and pa + size_bytes <= self.pa + self.size_bytes


def ram_ranges(mtree: str, kinds: Sequence[str] = ("ram",)) -> Sequence[RamRange]:
    """Return the RAM that the first CPU sees, or memory of other kinds, from what `info mtree -f` prints."""
    return [
        RamRange(
            PA(int(each["first"], 16)),
            int(each["last"], 16) - int(each["first"], 16) + 1,
            each["name"],
            int(each["offset"] or "0", 16),
        )
        for each in _MEMORY.finditer(_view(mtree))
        if each["kind"] in kinds
    ]


def backing(mtree: str, pa: PA) -> str | None:
    """Name what the first CPU finds at a physical address: empty for nothing, None where the monitor does not say."""
    view = _view(mtree)
    for each in _REGION.finditer(view):
        if int(each["first"], 16) <= pa <= int(each["last"], 16):
            return f"{_KINDS.get(each['kind'], each['kind'])} {each['name']}"
    return "" if view else None


def _view(mtree: str) -> str:
    """Return the part of `info mtree -f` that is about what the first CPU sees; empty where there is none."""
    return next((view for view in _VIEW.split(mtree) if CPU_SPACE in view), "")


def windows(process: int, monitor: Monitor) -> Iterator[Window]:
    """Yield a window on each range of RAM that this user may look into.

    Where a range is in the process the monitor says; what is there, the process's own map.  A file is the inode that it
    maps and no other, whatever `mem-path` names now.
    """
    maps = mappings(process)
    for ram in ram_ranges(monitor("info mtree -f")):
        found = _HOST.search(monitor(f"gpa2hva {ram.pa:#x}"))
        if found is None:
            continue
        address = int(found["address"], 16)
        mapping = covering(maps, address, ram.size_bytes)
        if mapping is not None:
            window = _file_window(process, ram, address, mapping) or _process_window(process, ram, address)
            if window is not None:
                yield window


def _file_window(process: int, ram: RamRange, address: int, mapping: Mapping) -> Window | None:
    opened = open_mapped(process, mapping) if mapping.shared and mapping.inode else None
    if opened is None:
        return None
    offset = mapping.offset + address - mapping.first
    start = offset & -mmap.ALLOCATIONGRANULARITY
    try:
        if os.fstat(opened).st_size < offset + ram.size_bytes:
            return None
        view = mmap.mmap(opened, offset - start + ram.size_bytes, offset=start)
    except (OSError, ValueError):
        return None
    finally:
        os.close(opened)
    base = offset - start

    def write(at: int, data: bytes) -> None:
        view[base + at : base + at + len(data)] = data

    where = f"file {mapping.path}"
    return Window(ram.pa, ram.size_bytes, lambda at, size: view[base + at : base + at + size], write, where)


def _process_window(process: int, ram: RamRange, address: int) -> Window | None:
    where = f"/proc/{process}/mem"
    try:
        file = open(where, "r+b", buffering=0)  # noqa: SIM115 (closed with the window)
    except OSError:
        return None

    def write(at: int, data: bytes) -> None:
        os.pwrite(file.fileno(), data, address + at)

    return Window(ram.pa, ram.size_bytes, lambda at, size: os.pread(file.fileno(), size, address + at), write, where)


@dataclass
class GuestRam:
    """Physical memory: RAM through windows, everything else through the stub."""

    stub: PhysicalMemory
    look: Callable[[], Sequence[Window]]
    """Find the windows; called at the first read."""
    distrusted: str = ""
    past_stub: bool = True
    """Whether windows may be used: not by what changes a guest step by step, so that each step sees a lost stub."""
    judge: str = "the gdbstub"
    """What the windows are compared with."""
    _windows: list[Window] | None = field(default=None)

    @property
    def windows(self) -> list[Window]:
        if self._windows is None:
            self._windows = []
            self._windows += self.look()
        return self._windows

    @property
    def description(self) -> str:
        if not self.windows:
            return f"{self.stub.description}{self.distrusted}"
        ram = ", ".join(f"{w.pa:#x}-{w.pa + w.size_bytes - 1:#x} in {w.where}" for w in self.windows)
        return f"RAM {ram}, compared with {self.judge}; the rest: {self.stub.description}"

    def find(self) -> None:
        """Find the windows now: where reads are to come at moments that `look` is not possible at."""
        _ = self.windows

    def read(self, pa: PA, size_bytes: int) -> bytes:
        window = self._window(pa, size_bytes)
        if window is None:
            return self.stub.read(pa, size_bytes)
        try:
            found = window.read(pa - window.pa, size_bytes)
        except OSError:
            found = b""
        if window.proved and len(found) == size_bytes:
            return found
        expected = self.stub.read(pa, size_bytes)
        if found != expected:
            self._distrust(window)
        elif any(found):
            # Zeros prove nothing: much of anybody's memory is.
            window.proved = True
        return expected

    @property
    def expect(self) -> Expect | None:
        """The stub's, which fetches together what is going to be read; None where a window is proved."""
        proved = any(each.proved for each in self._windows or ())
        return None if self.past_stub and proved else expected_by(self.stub)

    def write(self, pa: PA, data: bytes) -> None:
        window = self._window(pa, len(data))
        if window is None or not window.proved:
            self.stub.write(pa, data)
            return
        try:
            window.write(pa - window.pa, data)
        except OSError:
            self._distrust(window)
            self.stub.write(pa, data)
            return
        if not window.written:
            window.written = self.stub.read(pa, len(data)) == data
            if not window.written:
                self._distrust(window)
                self.stub.write(pa, data)

    def _window(self, pa: PA, size_bytes: int) -> Window | None:
        for each in self.windows if self.past_stub else ():
            if each.holds(pa, size_bytes):
                return each
        return None

    def _distrust(self, window: Window) -> None:
        self.windows.remove(window)
        self.distrusted = f" ({window.where} showed other bytes, and is not used)"


def look_into(process: int | None, monitor: Monitor) -> Sequence[Window]:
    """Return the windows on the RAM of a QEMU, none where its process is not known or may not be looked into.

    The process has to be a QEMU: what a relay between us and one maps is nobody's RAM.
    """
    if process is None:
        return ()
    with suppress(OSError):
        if is_qemu(mappings(process)):
            return tuple(windows(process, monitor))
    return ()
