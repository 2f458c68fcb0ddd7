"""An exception as the registers remember it: who took it and from where, what was asked for, and by which vector.

Source: DDI 0487, "Exception entry", "Exception vectors", "Preferred exception return address"; "HPFAR_EL2".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from gdbtools.addresses import IPA, VA
from gdbtools.arch.aarch64 import syndrome
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.aarch64.exceptions.execution_state import EL1, aarch32_el1
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, HPFAR_EL2
from gdbtools.arch.aarch64.registers.processor_state import SPSR, VBAR
from gdbtools.arch.aarch64.syndrome import EC
from gdbtools.arch.aarch64.translation import regimes, stage2_owner
from gdbtools.arch.aarch64.translation.controls import EL3, EL10
from gdbtools.arch.aarch64.translation.security import SecurityState, security_state
from gdbtools.arch.model import (
    AccessKind,
    ExceptionRecord,
    FaultKind,
    ReadRegister,
    RecordNames,
    Return,
    Syndrome,
    Transfer,
    VectorEntry,
    optional,
)
from gdbtools.bits import Word
from gdbtools.errors import MissingRegister, Unavailable

FROM_LOWER: Final = 0x400
"""Where synchronous exceptions of a lower level in AArch64 are taken."""
_QUARTERS: Final[Mapping[int, str]] = {
    0x000: "current EL, SP_EL0",
    0x200: "current EL, SP_ELx",
    FROM_LOWER: "lower EL, AArch64",
    0x600: "lower EL, AArch32",
}
_KINDS: Final[Mapping[int, tuple[str, bool]]] = {
    0x000: ("", False),
    0x080: (", IRQ", True),
    0x100: (", FIQ", True),
    0x180: (", SError", False),
}
"""Where each kind has its entry in a quarter: what its name has after the quarter's, and whether it is an interrupt."""


def target(register: ReadRegister) -> int:
    """Return the level whose exception registers are the CPU's own: EL0 takes none, so EL1's, or a VHE host's.

    A source that does not say where the CPU is has the registers of the one exception that somebody wrote down.
    """
    cpsr = optional(register, "cpsr")
    if cpsr is None:
        written = [el for el in (1, 2, 3) if optional(register, f"ESR_EL{el}") is not None]
        return written[0] if written else 1
    el = SPSR(cpsr).el
    if el:
        return el
    return 2 if regimes.current(register) == "el2-vhe" else 1


def vectors(register: ReadRegister) -> Mapping[VA, str]:
    """Return the entries for synchronous exceptions of the vectors in force.

    Raises `Unavailable` for the vectors of AArch32, which are others.
    """
    if target(register) == EL1 and (why := aarch32_el1(register)):
        raise Unavailable(f"EL1 is AArch32 ({why}), whose vectors are not AArch64's")
    return vectors_at(register(f"VBAR_EL{target(register)}"))


def ways_in(register: ReadRegister) -> Collection[VA]:
    """Return the entries of the vectors in force that are for a lower level."""
    found = vectors(register)
    below = [at for at in found if at - min(found) >= FROM_LOWER]
    return [VA(at + offset) for at in below for offset in _KINDS]


def vectors_at(vbar: int) -> Mapping[VA, str]:
    """Return the entries for synchronous exceptions of the vectors that VBAR_ELx leads to."""
    return {VA(VBAR(vbar).VBA + offset): entry for offset, entry in _QUARTERS.items()}


def taken_at(regime: str) -> int:
    """Return the level that takes the faults of a regime: stage 2's go to EL2."""
    return {"el1": 1, "el3": 3}.get(regime, 2)


def vectors_for(register: ReadRegister, regime: str) -> Mapping[VA, str]:
    """Return the entries for synchronous exceptions where faults of a regime come in, wherever the CPU is.

    Stage 2's are of lower levels, and a level that shares its regime with none faults at its own.
    """
    vba = VBAR(register(f"VBAR_EL{taken_at(regime)}")).VBA
    offsets: Collection[int] = _QUARTERS
    if regime.endswith("stage2"):
        offsets = [offset for offset in _QUARTERS if offset >= FROM_LOWER]
    elif regime in ("el2", "el3"):
        offsets = [offset for offset in _QUARTERS if offset < FROM_LOWER]
    return {VA(vba + offset): _QUARTERS[offset] for offset in offsets}


def is_of(exception: ExceptionRecord, regime: str) -> bool:
    """Return whether an exception is a fault of a regime: of stage 2 by the stage, of others by who asked."""
    fault = exception.syndrome.fault
    if fault is None or exception.target != taken_at(regime):
        return False
    return fault.stage == 2 if regime.endswith("stage2") else fault.stage == 1 and exception.regime == regime


def vector_entry(register: ReadRegister, pc: int) -> VectorEntry | None:
    """Return the one of the sixteen vector entries that is at `pc`; IRQ and FIQ have no syndrome, SError has."""
    if target(register) == EL1 and aarch32_el1(register):
        return None
    quarters = vectors(register)
    for offset, (kind, interrupts) in _KINDS.items():
        quarter = quarters.get(VA(pc - offset))
        if quarter is not None:
            return VectorEntry(f"{quarter}{kind}", kind.removeprefix(", ") if interrupts else "")
    return None


def record(register: ReadRegister) -> ExceptionRecord:
    """Join ESR, FAR, ELR and SPSR of the level that the CPU is at: elsewhere they are of another exception.

    What came from a lower level was translated by that level's regime; at EL2 a stage 2 fault is the guest's, and
    HPFAR_EL2 has its IPA.
    """
    el = target(register)
    if el == EL1 and (why := aarch32_el1(register)):
        raise Unavailable(f"EL1 is AArch32 ({why}), whose own exception registers are not decoded")
    found = syndrome.decode(_or_all_that_is_missing(register, f"ESR_EL{el}", el))
    address = optional(register, f"FAR_EL{el}")
    if address is None:
        needed = found.fault is not None and found.address_valid
        address = _or_all_that_is_missing(register, f"FAR_EL{el}", el) if needed else 0
    state = optional(register, f"SPSR_EL{el}")
    origin = _origin(found, el, register) if state is None else SPSR(state).el
    word = found.word
    through_vncr = isinstance(word, syndrome.Encoding) and word.through_vncr
    regime = regimes.of_level(register, el if through_vncr or origin is None else origin)
    ipa, ipa_unknown, loaded = None, "", ""
    second_stage = regimes.STAGE2 if found.fault is not None and found.fault.stage == 2 else ""
    if found.fault is not None and el == 2 and regime == "el1":
        secure = security_state(register, EL1) is SecurityState.SECURE
        second_stage = "secure-stage2" if secure else regimes.STAGE2
        # What a guest's own tables refuse, the guest takes; what comes to EL2 is stage 2's.
        found = replace(found, fault=replace(found.fault, stage=2))
        hpfar = optional(register, "HPFAR_EL2") if found.ipa_valid else None
        ipa = None if hpfar is None else IPA(HPFAR_EL2(hpfar).FIPA)
        ipa_unknown = "" if found.ipa_valid else _ipa_unknown(found)
        loaded = stage2_owner.loaded(register, "VSTTBR_EL2" if secure else "VTTBR_EL2")
    if found.transfer is not None and state is not None and SPSR(state).is_aarch32:
        found = replace(found, transfer=_of_aarch32(found.transfer, found.word))
    if _discards(found, origin):
        found = replace(found, access_kind=AccessKind.INVALIDATION)
    if found.returns is Return.NEXT_UNLESS_TRAPPED:
        trapped = _was_trapped(found, el, origin, register)
        found = replace(found, returns=Return.THIS_INSTRUCTION if trapped else Return.NEXT_INSTRUCTION)
    returns_to = optional(register, f"ELR_EL{el}")
    return ExceptionRecord(
        target=LEVELS[el],
        syndrome=found,
        address=VA(address),
        return_address=None if returns_to is None else VA(returns_to),
        origin=None if origin is None else LEVELS[origin],
        state=state,
        regime=regime,
        names=names_at(el),
        ipa=ipa,
        second_stage=second_stage,
        untaken=_untaken(register, el),
        ipa_unknown=ipa_unknown,
        loaded=loaded,
    )


def _of_aarch32(transfer: Transfer, word: Word) -> Transfer:
    """Return a transfer of a register by AArch32's name of it."""
    from gdbtools.arch.aarch64.registers import aarch32_registers  # not before there is one of AArch32

    number = type(word).field("SRT").of(word)
    return replace(transfer, register=aarch32_registers.name(number), held_in=aarch32_registers.holder(number))


def _ipa_unknown(found: Syndrome) -> str:
    """Return why HPFAR_EL2 is not of a fault of stage 2: it is UNKNOWN then, and QEMU leaves an older one there."""
    assert found.fault is not None, "asked of a fault"
    on_walk = " on a stage 1 table walk" if found.fault.s1ptw else ""
    return f"HPFAR_EL2 is not of this fault: {_article(found.fault.kind.label)}{on_walk} leaves it UNKNOWN"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}{'' if name.endswith(('abort', 'error')) else ' fault'}"


def names_at(el: int | str) -> RecordNames:
    """Return the names of the exception registers of a level; `x` stands for any."""
    return RecordNames(f"ESR_EL{el}", f"FAR_EL{el}", f"ELR_EL{el}", f"SPSR_EL{el}", "HPFAR_EL2")


def _untaken(register: ReadRegister, el: int) -> tuple[str, ...]:
    """Return ESR, ELR and SPSR of a level, if all that there are of them are 0, as QEMU resets them.

    No exception leaves them so: ESR_ELx.IL is 1 for an unknown reason, and an interrupt writes where it came from.
    """
    values = {name: optional(register, f"{name}_EL{el}") for name in ("ESR", "ELR", "SPSR")}
    return () if any(values.values()) else tuple(f"{name}_EL{el}" for name, each in values.items() if each is not None)


def _or_all_that_is_missing(register: ReadRegister, name: str, el: int) -> int:
    """Read a register that a verdict needs, or raise `MissingRegister` with all that it needs and the source lacks."""
    try:
        return register(name)
    except MissingRegister as missing:
        wanted = [f"ESR_EL{el}", f"FAR_EL{el}"]
        roots = [f"TTBR{number}_EL{el}" for number in (0, 1)][: 1 if el == EL3.el else 2]
        if all(optional(register, root) is None for root in roots):
            address = optional(register, f"FAR_EL{el}")
            upper = bool(address and address & regimes.BIT_55)
            wanted.append(" or ".join(roots) if address is None else roots[upper and len(roots) > 1])
        absent = [each for each in wanted if optional(register, each) is None]
        raise missing.of(absent) from None


def _origin(found: Syndrome, el: int, register: ReadRegister) -> int | None:
    """Return the level that an exception came from as far as its class tells, where there is no SPSR.

    What came to EL2 from below is a guest kernel's, or a process's where HCR_EL2.TGE leaves the host no EL1.
    """
    if found.from_lower is None:
        return None
    if not found.from_lower:
        return el
    tge = HCR_EL2(optional(register, "HCR_EL2") or 0).TGE
    return 0 if el == EL10.el or tge else EL10.el


def _discards(found: Syndrome, origin: int | None) -> bool:
    """Return whether this is DC IVAC: above EL0 no other cache maintenance takes a Permission fault at stage 1.

    Source: DDI 0595, "DC IVAC" and the other DC instructions, "Executing the instruction".
    """
    denied = found.fault is not None and found.fault.stage == 1 and found.fault.kind is FaultKind.PERMISSION
    return denied and bool(origin) and found.access_kind is AccessKind.MAINTENANCE


def _was_trapped(found: Syndrome, taken_to: int, origin: int | None, register: ReadRegister) -> bool:
    """Return whether an SVC or SMC was kept from what it does: an SMC goes to EL3, an SVC to EL1 or where TGE sends
    it.
    """
    if taken_to != 2:
        return False
    if syndrome.ESR_ELx.EC.of(found.word) in (EC.SMC, EC.SMC_AARCH32):
        return True
    return origin != 2 and not HCR_EL2(optional(register, "HCR_EL2") or 0).TGE
