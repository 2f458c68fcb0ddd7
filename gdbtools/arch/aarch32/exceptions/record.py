"""An abort as the registers remember it: which of the two it was, where, and who was interrupted.

A data abort leaves DFSR and DFAR, a prefetch abort IFSR and IFAR, and each leaves the other's as they were.  QEMU's
gdbstub does not give the saved state, SPSR_abt; LR_abt is `lr` while the CPU is in Abort mode.

Source: DDI 0487, "Prefetch Abort exception", "Data Abort exception", "Preferred return address of exceptions".
"""

from __future__ import annotations

from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch32.exceptions import hyp_record, vectors
from gdbtools.arch.aarch32.privilege_levels import ABORT, PL0, PL1
from gdbtools.arch.aarch32.registers.processor_state import CPSR
from gdbtools.arch.aarch32.syndrome import DATA, FETCH, decode
from gdbtools.arch.aarch32.translation import regimes
from gdbtools.arch.model import ExceptionRecord, Privilege, ReadRegister, RecordNames, Syndrome, memory_of, optional
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable, Unreadable

_BEYOND: Final = {DATA: 8, FETCH: 4}
"""How far LR_abt is beyond the instruction."""
NAMES: Final = {
    DATA: RecordNames(DATA, "DFAR", "LR_abt - 8", "SPSR_abt"),
    FETCH: RecordNames(FETCH, "IFAR", "LR_abt - 4", "SPSR_abt"),
}


def syndrome(register: ReadRegister) -> Syndrome:
    """Decode the fault status of the last abort, as far as it can be told which that was; in Hyp mode, HSR."""
    if regimes.is_in_hyp_mode(register):
        return hyp_record.decode(register(hyp_record.HSR))
    name = which(register)
    return decode(register(name), name)


def which(register: ReadRegister) -> str:
    """Return the fault status register of the last abort: DFSR where nothing says that it was a prefetch abort.

    The vector entry says it; in Abort mode LR_abt does, which a prefetch abort leaves 4 beyond IFAR; else that one of
    the two registers alone tells of a fault.
    """
    entry = _entry(register)
    if entry in (vectors.PREFETCH_ABORT, vectors.DATA_ABORT):
        return FETCH if entry == vectors.PREFETCH_ABORT else DATA
    data, fetch = optional(register, DATA), optional(register, FETCH)
    if data is None or fetch is None:
        return DATA if fetch is None else FETCH
    address = optional(register, "IFAR")
    if fetch and address is not None and _in_abort_mode(register) and register("lr") == address + _BEYOND[FETCH]:
        return FETCH
    told = [name for name, value in ((DATA, data), (FETCH, fetch)) if decode(value, name).fault is not None]
    return told[0] if told else DATA


def record(register: ReadRegister) -> ExceptionRecord:
    """Join fault status, fault address and, where it is still there, the return address."""
    if regimes.is_in_hyp_mode(register):
        return hyp_record.record(register)
    name = which(register)
    names = NAMES[name]
    found = decode(register(name), name)
    address = register(names.address)
    returns_to = _returns_to(register, name)
    return ExceptionRecord(
        target=PL1,
        syndrome=found,
        address=VA(address),
        return_address=returns_to,
        origin=None if returns_to is None else _origin(register, returns_to),
        state=optional(register, "SPSR_abt"),
        regime=regimes.PL1_REGIME,
        names=names,
        untaken=_untaken(register),
        origin_said="which alone may execute what is there",
    )


def _entry(register: ReadRegister) -> str:
    """Return the name of the vector entry that the CPU stands at; empty for none, or where that is not known."""
    try:
        found = vectors.entry_at(register, register("pc"))
    except Unavailable:
        return ""
    return "" if found is None else found.name


def _in_abort_mode(register: ReadRegister) -> bool:
    cpsr = optional(register, "cpsr")
    return cpsr is not None and CPSR(cpsr).M == ABORT and optional(register, "lr") is not None


def _returns_to(register: ReadRegister, name: str) -> VA | None:
    """Return the address of the instruction while LR_abt is as the abort left it: at its vector entry."""
    if not _entry(register) or not _in_abort_mode(register):
        return None
    return VA(register("lr") - _BEYOND[name] & 0xFFFF_FFFF)


def _origin(register: ReadRegister, address: VA) -> Privilege | None:
    """Return whose instruction it is, where the tables let one level alone execute what is there."""
    try:
        found = walk(regimes.regime_for(register, address, regimes.PL1_REGIME), address, memory_of(register))
    except (Unavailable, Unreadable):
        return None
    if found.attributes is None:
        return None
    may = [level for level in (PL0, PL1) if found.attributes.rights[level].execute]
    return may[0] if len(may) == 1 else None


def _untaken(register: ReadRegister) -> tuple[str, ...]:
    """Return the registers of both aborts, if all that there are of them are 0, as QEMU resets them."""
    values = {name: optional(register, name) for name in (DATA, "DFAR", FETCH, "IFAR")}
    return () if any(values.values()) else tuple(name for name, each in values.items() if each is not None)
