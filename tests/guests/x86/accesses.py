"""One state's accesses, as gdbtools is asked about them and as its command is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from gdbtools.addresses import PA, VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Access, AccessKind, ReadRegister, Regime
from gdbtools.errors import Unreadable
from tests.guests.x86.oracle import AC, DATA, DATA_BYTES, RAM_BYTES, Mailbox, Operation, Request
from tests.guests.x86.rules import Touch
from tests.tables import reader

X86 = ARCHITECTURES["x86_64"]
FULL = (1 << 64) - 1
PAT_AT_RESET = 0x0007_0406_0007_0406
LENGTHS = {Operation.LOAD: 2, Operation.STORE: 2, Operation.JUMP: 5}
"""Of what is asked for, by the operation without who asks: the undefined instruction is right behind it."""
KINDS = {AccessKind.READ: "read", AccessKind.WRITE: "write", AccessKind.EXECUTE: "execute"}


def kind_of(operation: Operation) -> AccessKind:
    return AccessKind.EXECUTE if operation.is_fetch else AccessKind.WRITE if operation.is_write else AccessKind.READ


def touch(request: Request) -> Touch:
    """Return an access as the rules have it."""
    operation = request.operation
    return Touch(request.va, operation.is_write, operation.is_fetch, operation.is_user, bool(request.rflags & AC))


def is_the_tests(pa: int) -> bool:
    """Return whether nobody but a test has what is there."""
    return DATA <= pa < DATA + DATA_BYTES


class Accesses:
    """A guest's RAM with a state's tables in it; `users_cs` is what user mode has in cs."""

    users_cs: int

    def __init__(self, guest: Mailbox, registers: Mapping[str, int], pages: Mapping[int, bytearray]) -> None:
        self.guest, self.registers = guest, dict(registers)
        for pa, page in pages.items():
            guest.write(pa, bytes(page))

    def word(self, pa: int) -> int:
        return self.guest.word(pa) if pa + 8 <= RAM_BYTES else FULL

    def bytes_at(self, pa: PA, size_bytes: int) -> bytes:
        if pa + size_bytes > RAM_BYTES:
            raise Unreadable(pa, size_bytes, "no memory is there")
        return self.guest.read(pa, size_bytes)

    def as_a_source_has_them(self, request: Request) -> dict[str, int]:
        about = {"eflags": request.rflags, "cs": self.users_cs if request.operation.is_user else 0x08}
        return {**self.registers, **about, "pat": PAT_AT_RESET, "maxphyaddr": self.guest.physical_bits}

    def asked(self, request: Request) -> tuple[ReadRegister, Access, Regime, Access]:
        """Return what gdbtools is asked: registers, the access, the regime, and the access as that meets it."""
        register = reader(self.as_a_source_has_them(request))
        access = Access(kind_of(request.operation), X86.privileges[0 if request.operation.is_user else 1])
        regime, met = X86.met_by(X86.regime_for(register, VA(request.va)), access, register)
        return register, access, regime, met

    def command(self, request: Request, registers: Path) -> list[str]:
        """Return the words of the command that asks the same of the RAM's file; writes the registers' file."""
        given = {name: hex(value) for name, value in self.as_a_source_has_them(request).items()}
        registers.write_text(json.dumps(given))
        source = ["-s", f"{self.guest.path}@0x0", "--registers", str(registers), "--arch", "x86_64"]
        who = "user" if request.operation.is_user else "supervisor"
        access = ["--access", KINDS[kind_of(request.operation)], "--privilege", who]
        return ["walk", *source, *access, "--json", hex(request.va)]
