"""Exceptions that no table decides, by a name of ours: traps of instructions, calls, and all that has a syndrome.

Source: DDI 0487, "ESR_EL2", the exception classes; "EL2 configurable controls".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch64.exceptions.record import FROM_LOWER, taken_at, target, vectors_at
from gdbtools.arch.aarch64.instructions import set_way
from gdbtools.arch.aarch64.syndrome import EC, ESR_ELx
from gdbtools.arch.aarch64.translation.regimes import STAGE2
from gdbtools.arch.model import ExceptionRecord, ReadRegister

SET_WAY, SYSTEM_REGISTER, CALL, EXCEPTION = "set-way", "system-register", "call", "exception"
NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        SET_WAY: "trapped cache maintenance by set/way",
        SYSTEM_REGISTER: "trapped system registers and System instructions",
        CALL: "calls",
        EXCEPTION: "synchronous exceptions",
    }
)
"""What may be caught, and what it is."""
REGIMES: Final[Mapping[str, str]] = MappingProxyType({SET_WAY: STAGE2})
"""Who takes what only one level does: set/way maintenance is trapped by HCR_EL2.TSW, from a lower level."""
_CLASSES: Final[Mapping[str, Collection[int]]] = {
    SYSTEM_REGISTER: (
        EC.SYSTEM,
        EC.SYSTEM_128,
        EC.CP15_MCR_MRC,
        EC.CP15_MCRR_MRRC,
        EC.CP14_MCR_MRC,
        EC.CP14_MRRC,
        EC.LDC_STC,
        EC.VMRS,
    ),
    CALL: (EC.SVC, EC.SVC_AARCH32, EC.HVC, EC.HVC_AARCH32, EC.SMC, EC.SMC_AARCH32),
}


def vectors(register: ReadRegister, regime: str | None) -> Mapping[VA, str]:
    """Return the entries where exceptions are taken: at the level in force, or that of a regime's faults.

    What comes from where stage 2 translates is of a lower level.
    """
    level = target(register) if regime is None else taken_at(regime)
    found = vectors_at(register(f"VBAR_EL{level}"))
    if not (regime or "").endswith(STAGE2):
        return found
    return {at: entry for at, entry in found.items() if at - min(found) >= FROM_LOWER}


def is_named(exception: ExceptionRecord, name: str, regime: str | None) -> bool:
    """Return whether an exception is of a name, and taken by the level that takes a regime's faults."""
    if regime is not None and exception.target != taken_at(regime):
        return False
    if name == SET_WAY:
        return exception.syndrome.target in set_way.AARCH64 | set_way.AARCH32
    return name == EXCEPTION or ESR_ELx.EC.of(exception.syndrome.word) in _CLASSES[name]
