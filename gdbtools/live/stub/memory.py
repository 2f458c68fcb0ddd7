"""Physical memory through QEMU's gdbstub, in raw packets.

`Qqemu.PhyMemMode` switches the whole stub: it survives a detach, and what GDB reads by itself meanwhile is physical
too.  So it is switched on at the first read of an operation, held while only our own packets are sent, and `release`
switches it off before GDB itself does anything (reading a register may make it look at memory) and at the end of every
operation, whatever happened.  Raw packets also go past GDB's caches and the shadow contents of its breakpoints.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import gdb

from gdbtools.addresses import PA
from gdbtools.errors import Refused, Unavailable, Unreadable
from gdbtools.live.stub.order import OUT_OF_STEP, SILENT, Order
from gdbtools.live.stub.rsp import open_wire
from gdbtools.machine.live.gdbstub import OutOfStep, Silent, StubLost, Wire

TOGETHER = 16
"""How many tables are asked for in one piece."""
AHEAD_BYTES = 1 << 23
"""How much is fetched before it is read."""
CHUNK_BYTES = 1 << 11
"""What fits one `m` packet: QEMU's PacketSize is 0x1000, and each byte takes two digits."""
WRITE_BYTES = 1 << 10
SLOW_SECONDS = 1.0
"""An answer that took longer is doubted: GDB may have asked twice for it."""
_ERROR = re.compile(rb"E[0-9a-fA-F]{2}|E\..*", re.DOTALL)
"""How a stub says that it cannot."""


def _chunks(pa: PA, size_bytes: int) -> Sequence[tuple[int, int]]:
    """Return the packets' parts of a range: (address, size in bytes)."""
    end = pa + size_bytes
    return [(at, min(CHUNK_BYTES, end - at)) for at in range(pa, end, CHUNK_BYTES)]


def _bytes_of(answer: bytes) -> bytes:
    """Return the bytes that an answer has as digits; empty where it has anything else."""
    try:
        return bytes.fromhex(answer.decode("ascii"))
    except ValueError:
        return b""


def broken(error: Exception) -> Unavailable:
    """Return the error for a connection that is gone in the middle of an operation."""
    return Unavailable(
        f"the connection to the gdbstub broke: {error}; attach again, `mmu undo` takes back what was written"
    )


@dataclass
class StubMemory:
    """The stub's physical memory."""

    connection: gdb.RemoteTargetConnection
    past_gdb: Callable[[str], bytes] | None = None
    """How to ask while GDB's own connection is spoken over by somebody else; None: by GDB's."""
    _supported: bool | None = field(default=None)
    _on: bool = field(default=False)
    _sure: bool = field(default=False)
    """Whether this operation has made sure, before it wrote, that answers belong to their questions."""
    _opened: Wire | None = field(default=None)
    _looked: bool = field(default=False)
    """Whether this operation has looked for a way past GDB, which not every connection has."""
    _fetched: dict[tuple[PA, int], bytes] = field(default_factory=dict)
    """What is going to be read, each once, before the operation ends."""
    order: Order = field(init=False)

    def __post_init__(self) -> None:
        self.order = Order(self._asked)

    @property
    def description(self) -> str:
        if self.supported():
            return "physical, through the gdbstub (Qqemu.PhyMemMode, off between operations)"
        return "none: this gdbstub has no physical memory mode"

    def supported(self) -> bool:
        """Return whether the stub has the mode; the answer is the mode's state, an unknown packet answers nothing."""
        if self._supported is None:
            self._supported = self.packet("qqemu.PhyMemMode") in (b"0", b"1")
        return self._supported

    def packet(self, text: str) -> bytes:
        if self.past_gdb is not None:
            return self.past_gdb(text)
        self.order.believe()
        began = time.monotonic()
        answer = self._asked(text)
        if time.monotonic() - began > SLOW_SECONDS:
            self.order.check()
        return answer

    def _asked(self, text: str) -> bytes:
        try:
            answer = self.connection.send_packet(text)
        except RuntimeError as error:  # gdb.error is one, and so is what a connection says that was gone before
            if self.connection.is_valid():
                self.order.lose(SILENT)
            raise broken(error) from None
        return b"" if answer is None else answer

    def _hold(self) -> None:
        if self._on:
            return
        if not self.supported():
            raise Unavailable(
                "this gdbstub has no physical memory mode (Qqemu.PhyMemMode), so tables cannot be read; "
                "use QEMU 4.1 or later, or open a dump with gdbtools -s"
            )
        # Held to be on even if the answer is lost: release() must then switch it off.
        self._on = True
        if self.packet("Qqemu.PhyMemMode:1") != b"OK":
            raise Unavailable("the gdbstub would not switch to physical memory; is the guest running? interrupt it")

    def release(self) -> None:
        """Switch physical mode off, if an operation switched it on; of a silent stub that is the next attachment's."""
        if self._on and self.order.lost != SILENT:
            (self._asked if self.order.lost else self.packet)("Qqemu.PhyMemMode:0")
        self._on = self._sure = False
        self._fetched.clear()
        if self._opened is not None:
            self._opened.close()
        self._opened, self._looked = None, False

    def read(self, pa: PA, size_bytes: int) -> bytes:
        if (pa, size_bytes) in self._fetched:
            return self._fetched.pop((pa, size_bytes))
        self._hold()
        parts: list[bytes] = []
        for at, take, answer in self._read(_chunks(pa, size_bytes)):
            data = _bytes_of(answer)
            if len(data) != take:
                self._make_sure()
                if not _ERROR.fullmatch(answer):
                    said = answer[:20].decode("ascii", "backslashreplace")
                    raise Unreadable(PA(at), take, f"the gdbstub said {said!r}, which is not that memory; ask again")
                raise Unreadable(PA(at), take, "the gdbstub refuses it; no memory is there")
            parts.append(data)
        return b"".join(parts)

    def expect(self, places: Sequence[tuple[PA, int]]) -> None:
        """Fetch in few round trips what is going to be read, each once; what cannot be is for `read` to say."""
        self._hold()
        if self._wire() is None:
            return
        held = sum(map(len, self._fetched.values()))
        for piece in range(0, len(places), TOGETHER):
            wanted = places[piece : piece + TOGETHER]
            held += sum(size_bytes for _, size_bytes in wanted)
            if held > AHEAD_BYTES:
                return
            answers = self._read([chunk for place in wanted for chunk in _chunks(*place)])
            for pa, size_bytes in wanted:
                parts = islice(answers, -(-size_bytes // CHUNK_BYTES))
                data = b"".join([_bytes_of(answer) for _, _, answer in parts])
                if len(data) == size_bytes:
                    self._fetched[pa, size_bytes] = data

    def _read(self, chunks: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, bytes]]:
        """Yield the answer for each (address, size in bytes): several are asked for in one piece, where that can be."""
        packets = [f"m{at:x},{take:x}" for at, take in chunks]
        wire = self._wire() if len(chunks) > 1 else None
        answers = map(self.packet, packets) if wire is None else self._asked_together(wire, packets)
        for (at, take), answer in zip(chunks, answers, strict=True):
            yield at, take, answer

    def _wire(self) -> Wire | None:
        """Return this operation's own way to the stub, past GDB, which asks for one thing at a time."""
        if not self._looked and self.past_gdb is None:
            # Were an answer still to come, it would be taken for one of ours.
            self.order.check()
            self._opened, self._looked = open_wire(self.connection.details or ""), True
        return self._opened

    def _asked_together(self, wire: Wire, packets: Sequence[str]) -> Iterator[bytes]:
        for at in range(0, len(packets), 2 * TOGETHER):
            try:
                yield from wire.ask(packets[at : at + 2 * TOGETHER])
            except Silent:
                self.order.lose(SILENT)
            except OutOfStep:
                self.order.lose(OUT_OF_STEP)
            except StubLost as error:
                raise broken(error) from None

    def write(self, pa: PA, data: bytes) -> None:
        self._fetched.clear()
        self._hold()
        if not self._sure:
            self._make_sure()
            self._sure = True
        for offset in range(0, len(data), WRITE_BYTES):
            part = data[offset : offset + WRITE_BYTES]
            if self.packet(f"M{pa + offset:x},{len(part):x}:{part.hex()}") != b"OK":
                raise Refused(f"the gdbstub would not write {len(part)} bytes at PA {pa + offset:#x}")

    def _make_sure(self) -> None:
        """Raise `Unavailable` if answers do not belong to their questions; past GDB each is awaited by its number."""
        if self.past_gdb is None:
            self.order.check()
