"""Registers out of QEMU's gdbstub, by the names that the manual has for them.

While V is 1, QEMU keeps VS-mode's registers where S-mode's are otherwise, and so gives them, as an instruction of the
guest would read them: `satp` is vsatp then.  What it gives as vsatp is what that was when V became 1, and of the
hypervisor's own registers nothing is to be had.  (Measured with 7.2, 10.0 and 11.1; riscv_cpu_swap_hypervisor_regs.)

That V is 1 shows in bit 2 of `priv` from 10.0 on, as the Debug Specification has it, and with any version in what
`info registers` of the monitor prints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gdbtools.arch.model import Stub
from gdbtools.arch.riscv.registers.status import MSTATUS64, PRIV
from gdbtools.bits import Field
from gdbtools.errors import MissingRegister

_TRAPS: Final = ("status", "tvec", "scratch", "epc", "cause", "tval", "atp")
GUESTS: Final[Mapping[str, str]] = {f"vs{name}": f"s{name}" for name in _TRAPS}
"""By which name the stub gives each register of VS-mode while V is 1."""
HIDDEN: Final = frozenset(GUESTS.values())
"""The hypervisor's own, which it does not give then."""
_WHILE_VIRTUAL: Final = "while a guest runs (V is 1) QEMU's gdbstub does not give the hypervisor's own"
_ADVICE: Final = "it has the guest's in its place; stop in the hypervisor, as at a fault that it takes, and ask there"
_SHARED: Final = (MSTATUS64.SIE, MSTATUS64.SPIE, MSTATUS64.SPP, MSTATUS64.SUM, MSTATUS64.MXR)
"""What of mstatus is sstatus, and vsstatus while V is 1."""
_MACHINE: Final = 3
_H: Final = Field(7, doc="misa: there is the hypervisor extension")
QEMU: Final = "qemu"
"""The name by which QEMU's version, as 100 * major + minor, is asked for as a register is."""
_SHOWS_V: Final = 10
"""The version of QEMU from which on `priv` has V."""
_VERSION: Final = re.compile(r"(\d+)(?:\.(\d+))?")
_V: Final = re.compile(r"^\s*V\s+=\s+([01])\s*$", re.MULTILINE)


def from_stub(name: str, stub: Stub) -> int | None:
    """Return a register of the manual's name; None where the stub lacks it, and nothing shows it.

    Raises `MissingRegister` for one that the stub lacks while V is 1.
    """
    if name == "virt":
        return virtualization(stub)
    if name == QEMU:
        version = _VERSION.match(stub.version())
        return None if version is None else 100 * int(version[1]) + int(version[2] or 0)
    value = stub.register(name)
    if name not in GUESTS and name not in HIDDEN and name != "mstatus":
        return value
    if not virtualization(stub):
        return value
    if name == "mstatus" and value is not None:
        return value & ~sum(field.mask for field in _SHARED)
    if name in HIDDEN:
        raise MissingRegister(_WHILE_VIRTUAL, (name,), _ADVICE)
    return stub.register(GUESTS[name])


def virtualization(stub: Stub) -> int | None:
    """Return V of a hart; None where nothing shows it."""
    mode = stub.register("priv")
    if mode is None:
        return None
    if PRIV(mode).v:
        return 1
    if PRIV(mode).prv == _MACHINE or not _may_be_virtual(stub):
        return 0
    version = _VERSION.match(stub.version())
    if version is not None and int(version[1]) >= _SHOWS_V:
        return 0
    shown = _V.search(stub.printed())
    return None if shown is None else int(shown[1])


def _may_be_virtual(stub: Stub) -> bool:
    """Return whether there is a hypervisor extension, for all that is known: a misa of 0 says nothing."""
    extensions = stub.register("misa")
    return stub.register("hgatp") is not None and (not extensions or bool(_H.of(extensions)))
