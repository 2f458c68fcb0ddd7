"""A process on this host: who is at the other end of a socket, and what it maps where.

A name proves nothing of a file: what it names may have been made anew since.  A mapping has its device and its inode,
and `open_mapped` opens that very one or nothing.  Source: Linux's proc(5).
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

PROC = Path("/proc")
TCP_ESTABLISHED = 1
ACCEPTS = 1 << 16
"""Of the flags in net/unix: a socket that listens (__SO_ACCEPTCON)."""
_MAPPING = re.compile(
    r"(?P<first>[0-9a-f]+)-(?P<end>[0-9a-f]+) (?P<may>[rwxps-]{4}) (?P<offset>[0-9a-f]+) "
    r"(?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+) (?P<inode>\d+) *(?P<path>.*)"
)
_QEMU = re.compile(r"qemu[^/]*$")

Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Mapping:
    """A range of a process's addresses, `end` behind its last, and what is there: `offset` bytes into which inode."""

    first: int
    end: int
    writable: bool
    shared: bool
    executable: bool
    offset: int
    device: tuple[int, int]
    inode: int
    path: str

    @property
    def size_bytes(self) -> int:
        return self.end - self.first

    def continues(self, before: Mapping) -> bool:
        """Return whether this begins where `before` ends, in memory and in the file alike."""
        kind = (self.writable, self.shared, self.device, self.inode)
        joins = self.first == before.end and (not self.inode or self.offset == before.offset + before.size_bytes)
        return joins and kind == (before.writable, before.shared, before.device, before.inode)


@dataclass(frozen=True)
class Life:
    """One run of a program: a process's number, which another may have later, and when it began, in clock ticks."""

    process: int
    began: int


def qemu_life(process: int | None) -> Life | None:
    """Return which run of a QEMU a process is; None for no QEMU, such as a relay before one, or where it is not known.

    Source: proc_pid_stat(5), field 22; the name before it may hold anything but its last bracket.
    """
    if process is None:
        return None
    with suppress(OSError, ValueError, IndexError):
        if is_qemu(mappings(process)):
            fields = (PROC / str(process) / "stat").read_bytes().rpartition(b")")[2].split()
            return Life(process, int(fields[19]))
    return None


def mappings(process: int) -> Sequence[Mapping]:
    """Return what a process maps, in order of address; raise `OSError` where that may not be seen."""
    text = os.fsdecode((PROC / str(process) / "maps").read_bytes())
    return [
        Mapping(
            int(each["first"], 16),
            int(each["end"], 16),
            "w" in each["may"],
            "s" in each["may"],
            "x" in each["may"],
            int(each["offset"], 16),
            (int(each["major"], 16), int(each["minor"], 16)),
            int(each["inode"]),
            each["path"],
        )
        for each in map(_MAPPING.fullmatch, text.splitlines())
        if each is not None
    ]


def is_qemu(maps: Sequence[Mapping]) -> bool:
    """Return whether a process that maps this executes a QEMU: its own program, or one that a loader was given."""
    return any(each.executable and _QEMU.search(each.path.removesuffix(" (deleted)")) for each in maps)


def covering(maps: Sequence[Mapping], address: int, size_bytes: int) -> Mapping | None:
    """Return the one piece of memory, or of one file, that holds this range and may be written; None for no such."""
    joined: Mapping | None = None
    for each in maps:
        if joined is not None and each.continues(joined):
            joined = Mapping(**{**vars(joined), "end": each.end})
        else:
            joined = each if each.first <= address < each.end and each.writable else None
        if joined is not None and address + size_bytes <= joined.end:
            return joined
    return None


def open_mapped(process: int, mapping: Mapping) -> int | None:
    """Open the file behind a mapping, the very inode, to read and write; None where it cannot be had.

    Returns a file descriptor, the caller's to close.
    """
    folder = PROC / str(process)
    with suppress(OSError):
        for place in (folder / "fd").iterdir():
            with suppress(OSError):
                if not _is(os.stat(place), mapping):
                    continue
                opened = os.open(place, os.O_RDWR | os.O_CLOEXEC)
                # What was looked at may have been closed meanwhile, and its number given to another.
                if _is(os.fstat(opened), mapping):
                    return opened
                os.close(opened)
    return None


def _is(found: os.stat_result, mapping: Mapping) -> bool:
    device = (os.major(found.st_dev), os.minor(found.st_dev))
    return (device, found.st_ino) == (mapping.device, mapping.inode)


def peer_of(connected: socket.socket) -> int | None:
    """Return the process that holds the other end of a connection, None where that is not known to be on this host."""
    if connected.family == socket.AF_UNIX:
        return _unix_peer(connected)
    ours, theirs = _place(connected.getsockname()), _place(connected.getpeername())
    for local, remote, inode in _established():
        if (local, remote) == (theirs, ours):
            return _holder({inode})
    return None


def connections_to(port: int) -> Iterator[int | None]:
    """Yield, for each connection of this host to a port of its own, who has made it; None where that is not known."""
    known = list(_established())
    for local, remote, _ in known:
        if local[1] == port and local[0] == remote[0]:
            yield next((_holder({inode}) for here, there, inode in known if (here, there) == (remote, local)), None)


def _established() -> Iterator[tuple[tuple[Address, int], tuple[Address, int], str]]:
    """Yield this host's own TCP connections: here, there, and the inode of the socket here."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError, ValueError):
            for line in (PROC / "self/net" / table).read_text().splitlines()[1:]:
                _, local, remote, state, *rest = line.split()
                if int(state, 16) == TCP_ESTABLISHED:
                    yield _written(local), _written(remote), rest[5]


def _unix_peer(connected: socket.socket) -> int | None:
    """Return who listens at the path of a unix socket, and still does: else its number may be another's by now."""
    size = struct.calcsize("3i")
    process, _, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    path = connected.getpeername()
    if not process or not isinstance(path, str):
        return None
    with suppress(OSError):
        lines = (PROC / str(process) / "net/unix").read_text(errors="surrogateescape").splitlines()
        inodes = {fields[6] for fields in (line.split(maxsplit=7) for line in lines) if fields[7:] == [path]}
        if inodes & set(_sockets(process)):
            return int(process)
    return None


def listens(path: Path) -> bool:
    """Return whether somebody listens at a unix socket's path: its file is there a moment before.

    To connect would tell as well, and be the one connection that a gdbstub takes.
    """
    if not path.exists():
        return False
    try:
        lines = (PROC / "self/net/unix").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return True
    named = [fields for fields in (line.split(maxsplit=7) for line in lines) if fields[7:] == [str(path)]]
    return any(int(fields[3], 16) & ACCEPTS for fields in named)


def _place(name: tuple[str, int]) -> tuple[Address, int]:
    return _plain(ip_address(name[0].partition("%")[0])), name[1]


def _written(field: str) -> tuple[Address, int]:
    """Read an address and port as Linux's tables have them: words of the host's own byte order."""
    host, _, port = field.partition(":")
    words = struct.pack(f"={len(host) // 8}I", *(int(host[at : at + 8], 16) for at in range(0, len(host), 8)))
    return _plain(ip_address(words)), int(port, 16)


def _plain(address: Address) -> Address:
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _holder(inodes: set[str]) -> int | None:
    """Return the one process that holds one of these sockets: of several nobody knows which one answers."""
    processes = (int(each.name) for each in PROC.iterdir() if each.name.isdigit())
    found = [process for process in processes if inodes & set(_sockets(process))]
    return found[0] if len(found) == 1 else None


def _sockets(process: int) -> Iterator[str]:
    """Yield the inodes of the sockets that a process holds, as far as that may be seen."""
    with suppress(OSError):
        for each in (PROC / str(process) / "fd").iterdir():
            with suppress(OSError):
                target = os.readlink(each)
                if target.startswith("socket:["):
                    yield target[len("socket:[") : -1]
