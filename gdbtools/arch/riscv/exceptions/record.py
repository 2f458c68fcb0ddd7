"""A trap as the registers remember it: who took it and from where, what was asked for, and through which stages.

Source: The RISC-V Privileged Architecture, "Supervisor Trap Value (stval) Register", "Trap Entry" of the H extension,
"Hypervisor Trap Value (htval) Register", "Hypervisor Status (hstatus) Register" for SPV, SPVP and GVA.
"""

from __future__ import annotations

from dataclasses import replace

from gdbtools.addresses import IPA, VA
from gdbtools.arch.model import ExceptionRecord, FaultKind, Privilege, ReadRegister, Syndrome, memory_of, optional
from gdbtools.arch.riscv.exceptions.levels import OF_MODE, TrapRegisters, delegation, target
from gdbtools.arch.riscv.exceptions.vectors import vector_entry
from gdbtools.arch.riscv.privilege_modes import NOMINAL, VIRTUAL, VS, VU, M, S, U, mode
from gdbtools.arch.riscv.registers.status import HSTATUS64, MSTATUS64
from gdbtools.arch.riscv.syndrome import code_of, decode, trap_instruction
from gdbtools.arch.riscv.tables.descriptors import PageEntry
from gdbtools.arch.riscv.translation import regimes
from gdbtools.arch.riscv.translation.controls import upper_status
from gdbtools.arch.walk import walk
from gdbtools.errors import MissingRegister, Unavailable, Unreadable

_CALLS = {8: U, 9: S, 10: VS, 11: M}
"""The environment calls: their code says which mode they came from."""
_HTVAL_SHIFT = 2


def record(register: ReadRegister, bits: int) -> ExceptionRecord:
    """Join cause, value, pc and status of the mode that the hart is in: elsewhere they are of another trap."""
    level = target(register)
    own = OF_MODE[level]
    found = decode(_needed(register, own, own.cause), bits)
    value = optional(register, own.value)
    if value is None:
        value = _needed(register, own, own.value) if found.fault is not None else 0
    state = optional(register, own.status)
    if state is None and level == S:
        state = optional(register, "mstatus")
    origin = _not_returned_from(register, bits, level, _origin(register, bits, level, state, found))
    effective = _effective(register, bits, level, origin, found)
    ipa = None
    if found.fault is not None and own.instruction:
        found, ipa = _of_both_stages(register, own, found)
    returns_to = optional(register, own.pc)
    code = code_of(found)
    taker, said = (level, ()) if code is None or origin is None else delegation(register, code, origin)
    return ExceptionRecord(
        target=level,
        syndrome=found,
        address=VA(value),
        return_address=None if returns_to is None else VA(returns_to),
        origin=origin,
        state=state,
        regime=regimes.OF_MODE[effective],
        names=own.names,
        ipa=ipa,
        second_stage=regimes.GUEST_STAGE if found.fault is not None and found.fault.stage > 1 else "",
        untaken=_untaken(register, own),
        asking=effective if effective != origin else None,
        routing=said,
        routed_to=taker if said else None,
    )


def _needed(register: ReadRegister, own: TrapRegisters, name: str) -> int:
    """Read a register that a verdict needs, or raise `MissingRegister` with all that it needs and the source lacks."""
    try:
        return register(name)
    except MissingRegister as missing:
        wanted = (own.cause, own.value, "vsatp" if own.cause.startswith("v") else "satp")
        raise missing.of([each for each in wanted if optional(register, each) is None]) from None


def _origin(
    register: ReadRegister, bits: int, level: Privilege, state: int | None, found: Syndrome
) -> Privilege | None:
    """Return the mode that a trap came from, by SPP and SPV, by MPP and MPV; without them as a call's code tells."""
    if state is None:
        return _CALLS.get(code_of(found) or 0)
    status = MSTATUS64(state)
    if level == M:
        return mode(status.MPP, bool(upper_status(register, bits).MPV))
    if level == VS:
        return VIRTUAL[status.SPP]
    hstatus = HSTATUS64(optional(register, "hstatus") or 0)
    return (VIRTUAL if hstatus.SPV else NOMINAL)[status.SPP]


def _not_returned_from(
    register: ReadRegister, bits: int, level: Privilege, origin: Privilege | None
) -> Privilege | None:
    """Return where a trap came from if that may still be read: what returns leaves a user's mode as the previous one.

    At the vector nothing has returned.  Elsewhere it was a user's if a user may execute what xepc leads to, else the
    kernel's above it; None where that cannot be read.
    """
    if origin not in (U, VU):
        return origin
    try:
        at_entry = vector_entry(register, register("pc")) is not None
    except Unavailable:
        # Where the hart is nobody said: then it is what somebody wrote down of one trap.
        return origin
    if at_entry:
        return origin
    try:
        regime = regimes.regime(register, bits, regimes.OF_MODE[origin])
        leaf = walk(regime, VA(register(OF_MODE[level].pc)), memory_of(register)).leaf
    except (Unavailable, Unreadable):
        return None
    if leaf is None or level == M:
        return None
    return origin if PageEntry.U.of(leaf.entry.word) else {U: S, VU: VS}[origin]


def _effective(
    register: ReadRegister, bits: int, level: Privilege, origin: Privilege | None, found: Syndrome
) -> Privilege:
    """Return as which mode's the access was translated: HLV and MPRV make those of another.

    What MPP and MPV said before a trap from M-mode to itself is overwritten: but M-mode has no page faults of its own.
    """
    if origin is None:
        return VS if level == VS else S
    if found.fault is None:
        return origin
    if level == S and origin in (U, S):
        hstatus = HSTATUS64(optional(register, "hstatus") or 0)
        return (VS if hstatus.SPVP else VU) if hstatus.GVA else origin
    if level == M and origin == M:
        if upper_status(register, bits).GVA:
            return VS
        return S if found.fault.kind is FaultKind.PAGE else M
    return origin


def _of_both_stages(register: ReadRegister, own: TrapRegisters, found: Syndrome) -> tuple[Syndrome, IPA | None]:
    """Return a guest-page fault with what htval and htinst add: where, and whether a table was to be read."""
    fault = found.fault
    assert fault is not None, "it is a fault"
    if fault.stage == 1:
        return found, None
    guest_address = optional(register, own.guest_address)
    said = trap_instruction.decode(optional(register, own.instruction) or 0)
    notes = [f"{own.instruction}: {said.said}"] if said.said else []
    if said.walk is None:
        notes.append(f"{own.instruction} does not say whether the access itself or the reading of a table was refused")
    told = replace(
        found,
        fault=replace(fault, s1ptw=bool(said.walk)),
        s1ptw=bool(said.walk),
        ipa_valid=bool(guest_address),
        transfer=said.transfer,
        notes=(*found.notes, *notes),
    )
    return told, IPA(guest_address << _HTVAL_SHIFT) if guest_address else None


def _untaken(register: ReadRegister, own: TrapRegisters) -> tuple[str, ...]:
    """Return the registers of a mode's traps, if all that there are of them are 0, as QEMU resets them.

    No trap leaves them so: a misaligned fetch has an address, and nothing is executed at 0.
    """
    values = {name: optional(register, name) for name in (own.cause, own.value, own.pc)}
    return () if any(values.values()) else tuple(name for name, each in values.items() if each is not None)
