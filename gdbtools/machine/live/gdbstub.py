"""QEMU's gdbstub, spoken to directly.

QEMU takes packets that are sent in one piece one after another, so that much is read in one round trip.  Nothing may be
sent while the guest runs but the interrupt: QEMU stops for any byte.
"""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache

from gdbtools.arch import ARCHITECTURES
from gdbtools.errors import Unavailable
from gdbtools.machine.live.process import peer_of


def architectural(names: Iterable[str]) -> frozenset[str]:
    """Return the names of a stub's registers, and the architecture's for those that it calls otherwise."""
    listed = frozenset(name for name in names if name)
    return listed | {name for name, own in ARCHITECTURES.stub_names.items() if own in listed}


ANSWER_SECONDS = 10.0
"""How long a stub that has been asked may take: it answers at once, or its host is lost."""
READ_BYTES = 1 << 16
FEATURE_BYTES = 0xFFB
"""How much of a description one packet asks for: GDB's own choice, for QEMU's PacketSize."""
INTERRUPT = b"\x03"
_ESCAPED = re.compile(rb"}(.)", re.DOTALL)
_PACKET = re.compile(rb"\$([^#]*)#..", re.DOTALL)
# Not by an XML parser: QEMU's description does not declare the prefix of its xi:include (seen in 7.2).
_ELEMENT = re.compile(r"<(?:(?P<include>xi:include)|reg)\s(?P<attributes>[^>]*)>")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_COMMENT = re.compile("<!--.*?-->", re.DOTALL)
"""QEMU's description of x86-64 has registers in one, which have no numbers."""


class StubLost(Exception):
    """The stub has closed the connection, or does not answer."""


class OutOfStep(StubLost):
    """The stub says more than it was asked: its answers are not those of these questions."""


class Silent(StubLost):
    """The stub does not answer, although the connection stands: what it says later would be other questions'."""


@lru_cache(maxsize=1 << 10)
def framed(packet: str) -> bytes:
    """Return a packet as it goes over the wire."""
    data = packet.encode("ascii")
    return b"$%b#%02x" % (data, sum(data) & 0xFF)


class Wire:
    """One stub's socket.  `peer` is the process at its other end, None where that is on another host."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._pending = bytearray()
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)

    @property
    def peer(self) -> int | None:
        return peer_of(self._socket)

    def close(self) -> None:
        """Close the duplicate; GDB's own stays open."""
        self._socket.close()

    def quiet(self) -> bool:
        """Return whether nothing has come that nobody has asked for."""
        return not self._pending and not self._poll.poll(0)

    def send(self, packets: Sequence[str]) -> None:
        """Send packets in one piece; the first also acknowledges what came before."""
        try:
            self._socket.sendall(b"+" + b"".join(map(framed, packets)))
        except OSError as error:
            raise StubLost(str(error)) from None

    def interrupt(self) -> None:
        """Stop a guest that runs."""
        try:
            self._socket.sendall(INTERRUPT)
        except OSError as error:
            raise StubLost(str(error)) from None

    def cut(self) -> None:
        """End the connection, GDB's own with it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def ask(self, packets: Sequence[str]) -> Sequence[bytes]:
        """Return the answers to packets that are sent in one piece, in their order.

        What somebody types meanwhile is raised once they have come: nobody else is to find them.
        """
        typed: KeyboardInterrupt | None = None
        self.send(packets)
        while len(answers := self._whole(len(packets))) < len(packets):
            try:
                self._await()
            except KeyboardInterrupt as interrupt:
                typed = interrupt
        del self._pending[:]
        if typed is not None:
            raise typed
        if len(answers) > len(packets):
            raise OutOfStep("the gdbstub says more than it was asked")
        return answers

    def _whole(self, wanted: int) -> Sequence[bytes]:
        """Return the packets that have come whole; none where there cannot be as many as are wanted."""
        return _PACKET.findall(self._pending) if self._pending.count(b"#") >= wanted else ()

    def monitor(self, command: str) -> str:
        """Return what a command of QEMU's monitor prints; empty where the stub has no monitor."""
        self.send([f"qRcmd,{command.encode().hex()}"])
        printed = b""
        while (answer := self.answer()).startswith(b"O") and answer != b"OK":
            printed += bytes.fromhex(answer[1:].decode("ascii"))
        return printed.decode(errors="replace").replace("\r", "")

    def answer(self) -> bytes:
        """Return the next answer, which has been asked for."""
        while (packet := self.received()) is None:
            self._await()
        return packet

    def _await(self) -> None:
        if not self._poll.poll(1000 * ANSWER_SECONDS):
            raise Silent("the gdbstub does not answer")
        self.receive()

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> None:
        """Take what has come.  Never waits: the flags of the socket are shared with GDB's own."""
        try:
            data = self._socket.recv(READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            raise StubLost(str(error)) from None
        if not data:
            raise StubLost("the gdbstub closed the connection")
        self._pending += data

    def received(self) -> bytes | None:
        """Return the next packet that has come whole, None if there is none; acknowledgements are passed over."""
        pending = self._pending
        start = pending.find(b"$")
        end = pending.find(b"#", start + 1)
        if start < 0 or end < 0 or len(pending) < end + 3:
            return None
        packet = bytes(pending[start + 1 : end])
        del pending[: end + 3]
        return packet


def register_numbers(wire: Wire) -> Mapping[str, int]:
    """Return the stub's own numbers of its registers, from its target description; the first of a name counts."""
    numbers: dict[str, int] = {}
    following = 0
    for name, given in _registers(wire, "target.xml"):
        number = following if given is None else int(given)
        numbers.setdefault(name, number)
        following = number + 1
    return numbers


def _registers(wire: Wire, annex: str) -> Iterator[tuple[str, str | None]]:
    for element in _ELEMENT.finditer(_description(wire, annex)):
        attributes = dict(_ATTRIBUTE.findall(element["attributes"]))
        if element["include"]:
            yield from _registers(wire, attributes["href"])
        else:
            yield attributes["name"], attributes.get("regnum")


def _description(wire: Wire, annex: str) -> str:
    parts: list[bytes] = []
    while not parts or parts[-1][:1] == b"m":
        at = sum(len(part) - 1 for part in parts)
        (part,) = wire.ask([f"qXfer:features:read:{annex}:{at:x},{FEATURE_BYTES:x}"])
        if part[:1] not in (b"m", b"l"):
            raise Unavailable(f"this gdbstub does not describe its registers ({annex})")
        parts.append(part)
    text = _ESCAPED.sub(lambda found: bytes([found[1][0] ^ 0x20]), b"".join(part[1:] for part in parts)).decode()
    return _COMMENT.sub("", text)
