"""Physical memory through QEMU's gdbstub, in raw packets.

`Qqemu.PhyMemMode` switches the whole stub: it survives a detach, and what GDB reads by itself meanwhile is physical
too.  So it is switched on at the first read of an operation, held while only our own packets are sent, and `release`
switches it off before GDB itself does anything (reading a register may make it look at memory) and at the end of every
operation, whatever happened.  Raw packets also go past GDB's caches and the shadow contents of its breakpoints.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import gdb

from gdbtools.addresses import PA
from gdbtools.errors import Refused, Unavailable, Unreadable
from gdbtools.live.stub.order import SILENT, Order

CHUNK_BYTES = 1 << 11
"""What fits one `m` packet: QEMU's PacketSize is 0x1000, and each byte takes two digits."""
WRITE_BYTES = 1 << 10
SLOW_SECONDS = 1.0
"""An answer that took longer is doubted: GDB may have asked twice for it."""
_ERROR = re.compile(rb"E[0-9a-fA-F]{2}|E\..*", re.DOTALL)
"""How a stub says that it cannot."""


def broken(error: RuntimeError) -> Unavailable:
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

    def read(self, pa: PA, size_bytes: int) -> bytes:
        self._hold()
        parts: list[bytes] = []
        for at in range(pa, pa + size_bytes, CHUNK_BYTES):
            take = min(CHUNK_BYTES, pa + size_bytes - at)
            answer = self.packet(f"m{at:x},{take:x}")
            try:
                data = bytes.fromhex(answer.decode("ascii"))
            except ValueError:
                data = b""
            if len(data) != take:
                self._make_sure()
                if not _ERROR.fullmatch(answer):
                    said = answer[:20].decode("ascii", "backslashreplace")
                    raise Unreadable(PA(at), take, f"the gdbstub said {said!r}, which is not that memory; ask again")
                raise Unreadable(PA(at), take, "the gdbstub refuses it; no memory is there")
            parts.append(data)
        return b"".join(parts)

    def write(self, pa: PA, data: bytes) -> None:
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
