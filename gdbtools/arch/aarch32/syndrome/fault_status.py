"""DFSR and IFSR: what a fault was, in the format that the tables in force had.

DFSR.LPAE says which: FS, five bits apart, for short descriptors, STATUS for long ones, whose codes are AArch64's.
Source: DDI 0487, "DFSR, Data Fault Status Register", "IFSR, Instruction Fault Status Register".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.arch.aarch32.registers.translation import Word32
from gdbtools.arch.arm.fault_status import DATA_ONLY, FAULT_STATUS, STATUS_NAMES
from gdbtools.arch.model import Fault, FaultKind
from gdbtools.bits import NO_YES, Field

_KIND: Final = FaultKind
DEBUG: Final = "debug event"
ASYNCHRONOUS: Final = "asynchronous External abort"
SHORT_STATUS: Final[Mapping[int, tuple[FaultKind, int | None]]] = {
    0b00001: (_KIND.ALIGNMENT, None),
    0b00011: (_KIND.ACCESS_FLAG, 1),
    0b00101: (_KIND.TRANSLATION, 1),
    0b00110: (_KIND.ACCESS_FLAG, 2),
    0b00111: (_KIND.TRANSLATION, 2),
    0b01000: (_KIND.EXTERNAL_ABORT, None),
    0b01001: (_KIND.DOMAIN, 1),
    0b01011: (_KIND.DOMAIN, 2),
    0b01100: (_KIND.EXTERNAL_ABORT, 1),
    0b01101: (_KIND.PERMISSION, 1),
    0b01110: (_KIND.EXTERNAL_ABORT, 2),
    0b01111: (_KIND.PERMISSION, 2),
    0b10000: (_KIND.TLB_CONFLICT, None),
    0b10100: (_KIND.IMPLEMENTATION_DEFINED, None),
    0b10101: (_KIND.UNSUPPORTED_ATOMIC_ACCESS, None),
    0b11001: (_KIND.PARITY, None),
    0b11100: (_KIND.PARITY, 1),
    0b11110: (_KIND.PARITY, 2),
}
"""Kind and level, by FS; without a level, what could be on a table walk was not."""
_NOT_OF_TABLES: Final = {
    0b00010: DEBUG,
    0b00100: "fault on instruction cache maintenance",
    0b10110: f"{ASYNCHRONOUS} (SError)",
    0b11000: "asynchronous parity or ECC error (SError)",
}
"""Codes that stand for no fault of the kinds above."""
_SHORT_ONLY: Final = {_KIND.IMPLEMENTATION_DEFINED: "IMPLEMENTATION DEFINED fault (lockdown)"}
_OTHER_LONG: Final = {
    0b010001: ASYNCHRONOUS,
    0b011001: "asynchronous parity or ECC error (SError)",
    0b100010: DEBUG,
}
_LONG_KINDS: Final = frozenset(
    (
        _KIND.ADDRESS_SIZE, _KIND.TRANSLATION, _KIND.ACCESS_FLAG, _KIND.PERMISSION, _KIND.EXTERNAL_ABORT, _KIND.PARITY,
        _KIND.ALIGNMENT, _KIND.TLB_CONFLICT, _KIND.IMPLEMENTATION_DEFINED, _KIND.UNSUPPORTED_ATOMIC_ACCESS,
    )
)  # fmt: skip
LONG_STATUS: Final[Mapping[int, tuple[FaultKind, int | None]]] = {
    code: (kind, level)
    for code, (kind, level) in FAULT_STATUS.items()
    if kind in _LONG_KINDS and (level is None or level >= (0 if kind is _KIND.ADDRESS_SIZE else 1))
}
"""Of AArch64's codes those that AArch32 has: no walk of it begins above level 1."""
_SHORT_CODES: Final = {meaning: code for code, meaning in SHORT_STATUS.items()}
_LONG_CODES: Final = {meaning: code for code, meaning in LONG_STATUS.items()}


def _short_name(code: int) -> str:
    kind, level = SHORT_STATUS[code]
    if kind in _SHORT_ONLY:
        return _SHORT_ONLY[kind]
    words = {_KIND.EXTERNAL_ABORT: "synchronous External abort", _KIND.PARITY: "synchronous parity or ECC error"}
    name = words.get(kind, f"{kind.label.capitalize()} fault")
    if kind in words:
        return f"{name}, not on a table walk" if level is None else f"{name} on a table walk, level {level}"
    return name if level is None else f"{name}, level {level}"


SHORT_NAMES: Final = {**{code: _short_name(code) for code in SHORT_STATUS}, **_NOT_OF_TABLES}
LONG_NAMES: Final = {**{code: STATUS_NAMES[code] for code in LONG_STATUS}, **_OTHER_LONG}
_LPAE: Final = Field(9, doc="format of this register", values={0: "short descriptors", 1: "long descriptors"})
_EXT: Final = Field(12, doc="external abort type, IMPLEMENTATION DEFINED")
_CM: Final = Field(13, doc="cache maintenance or address translation", values=NO_YES)
_WNR: Final = Field(11, doc="access", values={0: "read", 1: "write"})


class DFSR(Word32):
    """Data Fault Status Register, of short descriptors."""

    CM = _CM
    ExT = _EXT
    WnR = _WNR
    FS = Field(10, (3, 0), doc="fault status", values=SHORT_NAMES)
    LPAE = _LPAE
    Domain = Field((7, 4), doc="domain, where it is known")


class DFSR_LONG(Word32):
    """Data Fault Status Register, of long descriptors."""

    CM = _CM
    ExT = _EXT
    WnR = _WNR
    LPAE = _LPAE
    STATUS = Field((5, 0), doc="fault status", values=LONG_NAMES)


_FETCH_SHORT: Final = {code: name for code, name in SHORT_NAMES.items() if code not in (0b00001, 0b00100)}
_FETCH_LONG: Final = {code: name for code, name in LONG_NAMES.items() if code not in DATA_ONLY or code == 0b110100}


class IFSR(Word32):
    """Instruction Fault Status Register, of short descriptors."""

    FnV = Field(16, doc="IFAR is not valid", values=NO_YES)
    ExT = _EXT
    FS = Field(10, (3, 0), doc="fault status", values=_FETCH_SHORT)
    LPAE = _LPAE


class IFSR_LONG(Word32):
    """Instruction Fault Status Register, of long descriptors."""

    FnV = Field(16, doc="IFAR is not valid", values=NO_YES)
    ExT = _EXT
    LPAE = _LPAE
    STATUS = Field((5, 0), doc="fault status", values=_FETCH_LONG)


FORMS: Final[Mapping[str, tuple[type[Word32], type[Word32]]]] = {
    "DFSR": (DFSR, DFSR_LONG),
    "IFSR": (IFSR, IFSR_LONG),
}
"""Each register, of short and of long descriptors."""


def form(name: str, value: int) -> type[Word32]:
    """Return how a value of one of the two is laid out: it says so itself."""
    return FORMS[name][_LPAE.of(value)]


def fault_of(word: Word32) -> Fault | None:
    """Return the fault that a fault status register tells of; None for a code that is reserved, or of no table."""
    is_long = isinstance(word, DFSR_LONG | IFSR_LONG)
    field = word.field("STATUS" if is_long else "FS")
    known = (LONG_STATUS if is_long else SHORT_STATUS).get(field.of(word))
    return None if known is None else Fault(known[0], 1, known[1])


def status(fault: Fault, is_long: bool) -> int | None:
    """Return the fault status code of a fault, None where that format has none."""
    return (_LONG_CODES if is_long else _SHORT_CODES).get((fault.kind, fault.level))
