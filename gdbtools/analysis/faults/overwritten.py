"""Whether the fault address register is still an exception's: a way out of the kernel may have used it since."""

from __future__ import annotations

from gdbtools import systems
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import ExceptionRecord, ReadRegister
from gdbtools.errors import Unavailable


def may_be_overwritten(architecture: Architecture, register: ReadRegister, exception: ExceptionRecord) -> bool:
    """Return whether it is worth looking for a reduced space: the CPU is at the user's level, past such a way out."""
    if not exception.syndrome.address_valid or not systems.left_in_address(architecture):
        return False
    try:
        return architecture.privilege(register) == architecture.privileges[0]
    except Unavailable:
        return False


def overwritten(architecture: Architecture, register: ReadRegister, exception: ExceptionRecord) -> str:
    """Return who has overwritten an address, for a CPU at the user's level in a reduced space, in a clause.

    That the register it was overwritten with has the same value still makes it certain; a process goes on to change
    that register, so another value there shows nothing.
    """
    name = exception.names.address
    usual = systems.left_in_address(architecture)
    for title, left in usual.items():
        try:
            if register(left) == exception.address:
                return f"{name} holds {left}, which {title}'s way out of the kernel leaves there"
        except Unavailable:
            continue
    said = ", ".join(f"{title}'s way out of the kernel leaves {left}" for title, left in usual.items())
    return f"{said} in {name}"
