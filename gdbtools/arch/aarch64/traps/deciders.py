"""Which control made an instruction trap: computed from the syndrome and what the controls are now.

Source: DDI 0487, "EL1 configurable controls", "EL2 configurable controls" and "EL3 configurable controls"; the rules
themselves are in `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, SCR_EL3
from gdbtools.arch.aarch64.syndrome import EC, ESR_ELx
from gdbtools.arch.aarch64.traps import fine_grained, groups
from gdbtools.arch.aarch64.traps.el2_controls import coprocessor_trap
from gdbtools.arch.aarch64.traps.rule import Condition, TrapRule
from gdbtools.arch.aarch64.traps.rules import rules
from gdbtools.arch.model import FaultKind, ReadRegister, Syndrome, optional
from gdbtools.bits import Field, FieldValue, Word

_SYSTEM: Final = (EC.SYSTEM, EC.SYSTEM_128)
_COPROCESSOR: Final = (EC.CP15_MCR_MRC, EC.CP15_MCRR_MRRC, EC.CP14_MCR_MRC, EC.CP14_MRRC, EC.VMRS)
_COPROCESSOR_15: Final[Mapping[int, str]] = {EC.CP15_MCR_MRC: "CRn", EC.CP15_MCRR_MRRC: "CRm"}
"""Of which field HSTR_EL2 counts."""
_COPROCESSOR_OF_ONE: Final[Mapping[int, int]] = {EC.CP15_MCR_MRC: 15, EC.CP14_MCR_MRC: 14}
"""Which coprocessor it is whose access moves one register."""
_AS_AARCH64: Final[Mapping[str, str]] = {
    "PMOVSR": "PMOVSCLR_EL0",
    "TPIDRURO": "TPIDRRO_EL0",
    "TPIDRURW": "TPIDR_EL0",
}
"""Registers of AArch32 that fine-grained traps know by another name."""
_DEBUG_EXCEPTIONS: Final = (
    EC.BREAKPOINT_LOWER_EL,
    EC.SOFTWARE_STEP_LOWER_EL,
    EC.WATCHPOINT_LOWER_EL,
    EC.BKPT_AARCH32,
    EC.VECTOR_CATCH_AARCH32,
    EC.BRK,
)
# What the class, or one field of it, says was attempted, in the words of `groups`.
_BY_CLASS: Final[Mapping[int, str]] = {
    EC.FLOATING_POINT_ACCESS: groups.FLOATING_POINT,
    EC.POINTER_AUTHENTICATION: groups.POINTER_AUTHENTICATION,
    EC.SVE_ACCESS: groups.SVE,
    EC.ERET: "ERET",
    EC.SVC: "SVC",
    EC.SVC_AARCH32: "SVC",
    EC.SMC: "SMC",
    EC.SMC_AARCH32: "SMC",
    EC.MEMORY_OPERATION: groups.MEMORY_OPERATION,
    EC.LDC_STC: "DBGDTRRXint",
    EC.SERROR: groups.SERROR,
}
_BY_FIELD: Final[Mapping[int, tuple[str, Mapping[int, str]]]] = {
    EC.WF: ("TI", {0: "WFI", 1: "WFE", 2: "WFIT", 3: "WFET"}),
    EC.OTHER_INSTRUCTION: (
        "ISS",
        {0: "ST64BV", 1: "ST64BV0", 2: "LD64B or ST64B", 3: "TSB CSYNC", 4: "PSB CSYNC"},
    ),
    EC.SME_ACCESS: ("SMTC", {0: groups.SME, 4: groups.ZT0}),
    EC.GUARDED_CONTROL_STACK: ("ExType", {2: "GCSSTR"}),
}
# What EL0 raises for EL1 to take, by no control: these HCR_EL2.TGE takes to EL2.
_GENERAL: Final = (
    *_DEBUG_EXCEPTIONS,
    EC.UNKNOWN,
    EC.BRANCH_TARGET,
    EC.ILLEGAL_STATE,
    EC.SVC,
    EC.SVC_AARCH32,
    EC.POINTER_AUTHENTICATION_FAILURE,
    EC.INSTRUCTION_ABORT_LOWER_EL,
    EC.PC_ALIGNMENT,
    EC.DATA_ABORT_LOWER_EL,
    EC.SP_ALIGNMENT,
    EC.MEMORY_OPERATION,
    EC.FLOATING_POINT,
    EC.FLOATING_POINT_AARCH32,
    EC.GUARDED_CONTROL_STACK,
)
# Whose field, while clear, makes all of a register count as 0, or turns all its traps off.
_READ_AS_ZERO: Final[Mapping[str, Field]] = {
    "HCRX_EL2": SCR_EL3.HXEn,
    **{f"{name}2_EL2": SCR_EL3.FGTEn2 for name in ("HFGRTR", "HFGWTR", "HFGITR", "HDFGRTR", "HDFGWTR")},
}
_DISABLED: Final[Mapping[str, Field]] = {
    f"{name}_EL2": SCR_EL3.FGTEn for name in ("HFGRTR", "HFGWTR", "HFGITR", "HDFGRTR", "HDFGWTR", "HAFGRTR")
}


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What was attempted: its names, in either execution state's words; `read` is None where it is no access.

    Of EL1 in AArch32 there are no fine-grained traps.
    """

    names: tuple[str, ...]
    read: bool | None
    aarch32_kernel: bool

    def rules(self) -> Iterator[TrapRule]:
        """Yield the rules that are about it, whatever the controls are."""
        for rule in (rule for name in self.names for rule in _rules_about(name)):
            if self.read is not None and not (rule.reads if self.read else rule.writes):
                continue
            if self.aarch32_kernel and rule.conditions[0].holder in fine_grained.DECLARED:
                continue
            yield rule


@lru_cache(maxsize=1024)
def _rules_about(name: str) -> tuple[TrapRule, ...]:
    return tuple(rule for rule in rules() if _matches(name, rule.trapped) and not _matches(name, rule.spared))


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class _Controls:
    """The controls as they count, which is not always as they read."""

    register: ReadRegister

    def value(self, holder: str) -> int | None:
        value = optional(self.register, holder)
        if value is None or holder != "HCR_EL2":
            return value
        return value if self._el2_enabled else 0

    @property
    def _el2_enabled(self) -> bool:
        scr = optional(self.register, "SCR_EL3")
        return scr is None or bool(SCR_EL3(scr).NS or SCR_EL3(scr).EEL2)

    def hcr(self) -> HCR_EL2:
        return HCR_EL2(self.value("HCR_EL2") or 0)

    def _of_el3(self, field: Field) -> int | None:
        scr = optional(self.register, "SCR_EL3")
        return None if scr is None else field.of(scr)

    def held(self, condition: Condition) -> tuple[str, FieldValue] | None:
        """Return the field that holds, as `condition` asks; the one of EL3 where that is what makes it so."""
        value = self.value(condition.holder)
        if value is None:
            return None
        if condition.holder in _DISABLED and self._of_el3(_DISABLED[condition.holder]) == 0:
            return None
        gate = _READ_AS_ZERO.get(condition.holder)
        if gate is not None and self._of_el3(gate) == 0:
            return ("SCR_EL3", FieldValue(gate, 0)) if 0 in condition.values else None
        found = condition.field.of(value)
        return (condition.holder, FieldValue(condition.field, found)) if found in condition.values else None

    def all_held(self, conditions: tuple[Condition, ...]) -> tuple[tuple[str, FieldValue], ...]:
        """Return the fields of all conditions, nothing where one of them does not hold."""
        found = [self.held(condition) for condition in conditions]
        return tuple(each for each in found if each is not None) if all(found) else ()


def deciders(syndrome: Syndrome, el: int, target: int, register: ReadRegister) -> tuple[tuple[str, FieldValue], ...]:
    """Return the fields that, as they are now, make what `syndrome` reports trap from `el` to `target`.

    Of a rule that needs several, all of them; of a trap to EL1 that HCR_EL2.TGE takes to EL2, that field too.  A
    register that the source lacks is no candidate.  Nothing is given where no rule is known, or where the exception
    goes to `target` by itself.
    """
    attempt, controls = _attempt(syndrome, el), _Controls(register)
    hcr = controls.hcr()
    found: dict[tuple[str, str], tuple[str, FieldValue]] = {}
    for rule in attempt.rules():
        redirected = rule.target == 1 and el == 0 and bool(hcr.TGE)
        if el not in rule.levels or (2 if redirected else rule.target) != target:
            continue
        if not rule.under.holds(bool(hcr.E2H), bool(hcr.TGE)):
            continue
        held = controls.all_held(rule.conditions)
        if held and redirected:
            held = (*held, ("HCR_EL2", FieldValue(HCR_EL2.TGE, hcr.TGE)))
        found.update(((holder, value.field.name), (holder, value)) for holder, value in held)
    for holder, value in _by_coprocessor(syndrome, el, target, controls):
        found[holder, value.field.name] = (holder, value)
    return tuple(found.values())


def _by_coprocessor(syndrome: Syndrome, el: int, target: int, controls: _Controls) -> Iterator[tuple[str, FieldValue]]:
    exception_class = ESR_ELx.EC.of(syndrome.word)
    hcr = controls.hcr()
    if target != 2 or el > 1 or exception_class not in _COPROCESSOR_15 or (hcr.E2H and hcr.TGE):
        return
    condition = coprocessor_trap(_part(syndrome.word, _COPROCESSOR_15[exception_class]))
    if condition is not None and (held := controls.held(condition)) is not None:
        yield held


def _part(word: Word, name: str) -> int:
    return type(word).field(name).of(word)


def _attempt(syndrome: Syndrome, el: int) -> _Attempt:
    word = syndrome.word
    exception_class = ESR_ELx.EC.of(word)
    names = tuple(_names(syndrome, exception_class))
    access = exception_class in (*_SYSTEM, *_COPROCESSOR)
    read = bool(_part(word, "Direction")) if access else None
    return _Attempt(names, read, el == 1 and exception_class in _COPROCESSOR)


def _names(syndrome: Syndrome, exception_class: int) -> Iterator[str]:
    if exception_class in _BY_CLASS:
        yield _BY_CLASS[exception_class]
    if exception_class in _BY_FIELD:
        field, by_value = _BY_FIELD[exception_class]
        value = _part(syndrome.word, field)
        if value in by_value:
            yield by_value[value]
    if exception_class in (*_SYSTEM, *_COPROCESSOR):
        yield syndrome.target
    if exception_class == EC.SYSTEM_128:
        yield groups.OF_128_BITS + syndrome.target
    if exception_class in _COPROCESSOR:
        yield from (f"{syndrome.target}_EL0", f"{syndrome.target}_EL1")
        yield _AS_AARCH64.get(syndrome.target, "")
    if exception_class in _COPROCESSOR_OF_ONE:
        part = {name: _part(syndrome.word, name) for name in ("Opc1", "CRn", "CRm", "Opc2")}
        yield f"p{_COPROCESSOR_OF_ONE[exception_class]}, {part['Opc1']}, c{part['CRn']}, c{part['CRm']}, {part['Opc2']}"
    if exception_class in _DEBUG_EXCEPTIONS:
        yield groups.DEBUG_EXCEPTION
    if syndrome.fault is not None and syndrome.fault.kind is FaultKind.EXTERNAL_ABORT:
        yield groups.EXTERNAL_ABORT
    if exception_class in _GENERAL or _is_identification(syndrome.word, exception_class):
        yield groups.GENERAL_EXCEPTION


def _is_identification(word: Word, exception_class: int) -> bool:
    """Return whether it accesses the ID space: under FEAT_IDST EL1 is told of that by this class, not as UNDEFINED."""
    if exception_class != EC.SYSTEM:
        return False
    return (_part(word, "Op0"), _part(word, "CRn")) == (3, 0) and _part(word, "Op1") in (0, 1)
