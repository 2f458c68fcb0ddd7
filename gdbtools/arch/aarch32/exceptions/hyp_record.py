"""An exception that Hyp mode has taken: HSR, the address registers beside it, and whose tables refused.

HSR has the classes of AArch64's syndrome, and is decoded there.  QEMU's gdbstub gives neither ELR_hyp nor SPSR_hyp.
Source: DDI 0487, "HSR", "HDFAR", "HIFAR", "HPFAR", "Exception entry" of chapter G1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gdbtools.addresses import IPA, VA
from gdbtools.arch.aarch32.privilege_levels import PL1, PL2, of_mode
from gdbtools.arch.aarch32.registers.hypervisor import HPFAR
from gdbtools.arch.aarch32.registers.processor_state import CPSR
from gdbtools.arch.aarch32.translation import regimes
from gdbtools.arch.model import AccessKind, ExceptionRecord, Privilege, ReadRegister, RecordNames, Syndrome, optional

HSR: Final = "HSR"
_OTHER: Final = "aarch64"
_DATA, _FETCH = (RecordNames(HSR, address, "ELR_hyp", "SPSR_hyp", "HPFAR") for address in ("HDFAR", "HIFAR"))
NAMES: Final = _DATA


def decode(value: int) -> Syndrome:
    """Decode HSR; the registers in it are numbered as instructions number them."""
    from gdbtools.arch import ARCHITECTURES  # not before Hyp mode is met

    found = ARCHITECTURES[_OTHER].exceptions.decode(value)
    if found.transfer is None:
        return found
    number = type(found.word).field("SRT").of(found.word)
    return replace(found, transfer=replace(found.transfer, register=f"R{number}"))


def record(register: ReadRegister) -> ExceptionRecord:
    """Join HSR with the addresses; an abort that comes from below is the second stage's."""
    found = decode(register(HSR))
    names = _FETCH if found.access_kind is AccessKind.EXECUTE else _DATA
    state = optional(register, names.state)
    origin = _origin(found, state)
    needed = found.fault is not None and found.address_valid
    address = register(names.address) if needed else optional(register, names.address) or 0
    returns_to = optional(register, names.return_address)
    ipa = None
    below = found.fault is not None and origin is not PL2
    if found.fault is not None and below:
        found = replace(found, fault=replace(found.fault, stage=2))
        page = optional(register, names.ipa) if found.ipa_valid else None
        ipa = None if page is None else IPA(HPFAR(page).FIPA)
    return ExceptionRecord(
        target=PL2,
        syndrome=found,
        address=VA(address),
        return_address=None if returns_to is None else VA(returns_to),
        origin=origin,
        state=state,
        regime=regimes.PL2_REGIME if origin is PL2 else regimes.PL1_REGIME,
        names=names,
        ipa=ipa,
        second_stage=regimes.STAGE2_REGIME if below else "",
        untaken=_untaken(register),
        ipa_unknown="" if not below or found.ipa_valid else "this fault leaves HPFAR UNKNOWN",
    )


def _origin(found: Syndrome, state: int | None) -> Privilege | None:
    """Return who was interrupted: by the saved state, else as far as the class tells."""
    if state is not None:
        return of_mode(CPSR(state).M)
    if found.from_lower is None:
        return None
    return PL1 if found.from_lower else PL2


def _untaken(register: ReadRegister) -> tuple[str, ...]:
    """Return the registers, if all that there are of them are 0, as QEMU resets them."""
    values = {name: optional(register, name) for name in (HSR, "HDFAR", "HIFAR", "HPFAR")}
    return () if any(values.values()) else tuple(name for name, each in values.items() if each is not None)
