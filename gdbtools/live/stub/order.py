"""Whether a stub's answers belong to their questions.

GDB asks again when an answer takes longer than `remotetimeout`, and takes the first of the answers that then come for
this question's, the second for the next one's, and so on: after one slow answer each later one is an earlier
question's (seen in 13 and 18, up to four too many).  Nothing shows it but a question whose answer is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gdbtools.errors import Unavailable

OUT_OF_STEP = (
    "the gdbstub answered late, and its answers do not belong to their questions any more, so that nothing it says can "
    "be trusted; disconnect, and attach again"
)
SILENT = (
    "the gdbstub does not answer: is its QEMU stopped, or its machine too busy? What it says later would be taken for "
    "other answers; disconnect, and attach again when it answers"
)
LEAST_BYTES, TURNS = 16, 64
"""How much of its own description the stub is asked for: another length each time, so that each answer is its own."""


@dataclass
class Order:
    """The order of one connection's answers; once lost it stays lost, for as long as that connection lasts."""

    packet: Callable[[str], bytes]
    lost: str = ""
    """What is to be said of everything from now on; empty while all is well."""
    _known: bytes | None = None
    """How the description begins; empty for a stub that has none."""
    _turn: int = 0

    def check(self) -> None:
        """Raise `Unavailable` if the last answer was not the last question's.  One round trip."""
        self.believe()
        if self._known is None:
            self._known = self._description(LEAST_BYTES + TURNS)
        if not self._known:
            return
        self._turn = (self._turn + 1) % TURNS
        size_bytes = LEAST_BYTES + self._turn
        if self._description(size_bytes) != self._known[:size_bytes]:
            self.lose(OUT_OF_STEP)

    def believe(self) -> None:
        """Raise `Unavailable` if the order is known to be lost; nothing is asked."""
        if self.lost:
            raise Unavailable(self.lost)

    def lose(self, why: str) -> None:
        """Believe nothing of this connection from now on, and raise `Unavailable` with `why`."""
        self.lost = why
        raise Unavailable(why)

    def _description(self, size_bytes: int) -> bytes:
        answer = self.packet(f"qXfer:features:read:target.xml:0,{size_bytes:x}")
        if answer[:1] in (b"m", b"l"):
            return answer[1:]
        if answer and self._known is None:
            self.lose(OUT_OF_STEP)
        return b""
