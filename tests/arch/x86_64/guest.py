"""A machine of registers and a few entries in memory, and what it makes of an access, with one stage or two."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Access, AccessKind, Mapped, Privilege, Refusal, Walk, written_down
from gdbtools.arch.walk import walk
from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.arch.x86_64.privileges import SUPERVISOR, USER
from gdbtools.errors import Unreadable

KINDS: Final = {
    "read": AccessKind.READ,
    "write": AccessKind.WRITE,
    "execute": AccessKind.EXECUTE,
    "shadow-stack-read": AccessKind.SHADOW_STACK_READ,
    "shadow-stack-write": AccessKind.SHADOW_STACK_WRITE,
}
WHO: Final[Mapping[str, Privilege]] = {"user": USER, "supervisor": SUPERVISOR}


@dataclass
class Machine:
    """Registers by name, and entries of eight bytes by their place; all else is not there."""

    registers: dict[str, int]
    memory: dict[int, int] = field(default_factory=dict)

    def read(self, pa: PA, size_bytes: int) -> bytes:
        if pa not in self.memory or size_bytes != 8:
            raise Unreadable(pa, size_bytes, "nothing is there")
        return struct.pack("<Q", self.memory[pa])

    def ask(
        self, address: int, kind: str, who: str = "supervisor", regime: str | None = None, unprivileged: bool = False
    ) -> tuple[Walk, Refusal | None, int | None]:
        """Return the walk, what refuses the access, and what hardware would say of that."""
        register = written_down(self.registers)
        access = Access(KINDS[kind], WHO[who], unprivileged)
        asked, met = X86_64.met_by(X86_64.regime_for(register, VA(address), regime), access, register)
        found = walk(asked, VA(address), self.read)
        refused = X86_64.check(found, met, X86_64.state(register))
        return found, refused, None if refused is None else X86_64.status(refused.fault, access, found)

    def outcome(
        self, address: int, kind: str, who: str = "supervisor", regime: str | None = None
    ) -> tuple[str, object]:
        """Return "mapped" with where it leads, or the cause that refuses with what hardware would say."""
        found, refused, status = self.ask(address, kind, who, regime)
        if refused is not None:
            return refused.decider.cause.name, status
        assert isinstance(found.outcome, Mapped)
        return "mapped", int(found.outcome.address)
