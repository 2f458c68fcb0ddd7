"""Fault status codes: DFSC and IFSC, the same numbers for data and for fetches, spelled out as the manual has them.

Source: DDI 0487, "ESR_EL1, Exception Syndrome Register (EL1)", the values of DFSC and IFSC.
"""

from __future__ import annotations

from collections.abc import Mapping

from gdbtools.arch.model import Fault, FaultKind

RECORDED_AS = ("far_valid", "far", "hpfar_valid")
"""The keys in JSON of what a syndrome says of addresses, by the registers that have them."""
_KIND = FaultKind
FAULT_STATUS: Mapping[int, tuple[FaultKind, int | None]] = {
    0b000000: (_KIND.ADDRESS_SIZE, 0),
    0b000001: (_KIND.ADDRESS_SIZE, 1),
    0b000010: (_KIND.ADDRESS_SIZE, 2),
    0b000011: (_KIND.ADDRESS_SIZE, 3),
    0b000100: (_KIND.TRANSLATION, 0),
    0b000101: (_KIND.TRANSLATION, 1),
    0b000110: (_KIND.TRANSLATION, 2),
    0b000111: (_KIND.TRANSLATION, 3),
    0b001000: (_KIND.ACCESS_FLAG, 0),
    0b001001: (_KIND.ACCESS_FLAG, 1),
    0b001010: (_KIND.ACCESS_FLAG, 2),
    0b001011: (_KIND.ACCESS_FLAG, 3),
    0b001100: (_KIND.PERMISSION, 0),
    0b001101: (_KIND.PERMISSION, 1),
    0b001110: (_KIND.PERMISSION, 2),
    0b001111: (_KIND.PERMISSION, 3),
    0b010000: (_KIND.EXTERNAL_ABORT, None),
    0b010001: (_KIND.TAG_CHECK, None),
    0b010010: (_KIND.EXTERNAL_ABORT, -2),
    0b010011: (_KIND.EXTERNAL_ABORT, -1),
    0b010100: (_KIND.EXTERNAL_ABORT, 0),
    0b010101: (_KIND.EXTERNAL_ABORT, 1),
    0b010110: (_KIND.EXTERNAL_ABORT, 2),
    0b010111: (_KIND.EXTERNAL_ABORT, 3),
    0b011000: (_KIND.PARITY, None),
    0b011010: (_KIND.PARITY, -2),
    0b011011: (_KIND.PARITY, -1),
    0b011100: (_KIND.PARITY, 0),
    0b011101: (_KIND.PARITY, 1),
    0b011110: (_KIND.PARITY, 2),
    0b011111: (_KIND.PARITY, 3),
    0b100001: (_KIND.ALIGNMENT, None),
    0b100010: (_KIND.GRANULE_PROTECTION, -2),
    0b100011: (_KIND.GRANULE_PROTECTION, -1),
    0b100100: (_KIND.GRANULE_PROTECTION, 0),
    0b100101: (_KIND.GRANULE_PROTECTION, 1),
    0b100110: (_KIND.GRANULE_PROTECTION, 2),
    0b100111: (_KIND.GRANULE_PROTECTION, 3),
    0b101000: (_KIND.GRANULE_PROTECTION, None),
    0b101001: (_KIND.ADDRESS_SIZE, -1),
    0b101010: (_KIND.TRANSLATION, -2),
    0b101011: (_KIND.TRANSLATION, -1),
    0b101100: (_KIND.ADDRESS_SIZE, -2),
    0b110000: (_KIND.TLB_CONFLICT, None),
    0b110001: (_KIND.UNSUPPORTED_ATOMIC, None),
    0b110100: (_KIND.IMPLEMENTATION_DEFINED, None),
    0b110101: (_KIND.UNSUPPORTED_ATOMIC_ACCESS, None),
}
"""Kind and level, by code; without a level, what could be on a table walk was not."""
EXTERNAL_ABORT_NOT_ON_WALK = 0b010000
UNSUPPORTED_UPDATE, UNSUPPORTED_EXCLUSIVE = 0b110001, 0b110101
DATA_ONLY = frozenset((0b010001, 0b100001, 0b110100, UNSUPPORTED_EXCLUSIVE))
"""What a fetch cannot raise: reserved in IFSC."""
_NAMES: Mapping[int, str] = {
    0b000000: "Address size fault, level 0, or of the base in TTBRn",
    0b010001: "synchronous Tag Check fault",
    0b110000: "TLB conflict abort",
    0b110001: "unsupported atomic hardware update fault",
    0b110100: "IMPLEMENTATION DEFINED fault (lockdown)",
    0b110101: "unsupported Exclusive or Atomic access",
}
_CODE_OF = {(kind, level): code for code, (kind, level) in reversed(list(FAULT_STATUS.items()))}


def _status_name(code: int) -> str:
    if code in _NAMES:
        return _NAMES[code]
    kind, level = FAULT_STATUS[code]
    name = {
        FaultKind.EXTERNAL_ABORT: "synchronous External abort",
        FaultKind.PARITY: "synchronous parity or ECC error",
    }.get(kind, f"{kind.label.capitalize()} fault")
    on_walk = kind in (FaultKind.EXTERNAL_ABORT, FaultKind.PARITY, FaultKind.GRANULE_PROTECTION)
    if level is None:
        return f"{name}, not on a table walk" if on_walk else name
    return f"{name} on a table walk, level {level}" if on_walk else f"{name}, level {level}"


STATUS_NAMES = {code: _status_name(code) for code in FAULT_STATUS}
ERROR_TYPE = {0b00: "Recoverable state (UER)", 0b10: "Uncontainable (UC)", 0b11: "Restartable state (UEO)"}
"""SET, the synchronous error type of an External abort."""
FETCH_STATUS_NAMES = {code: name for code, name in STATUS_NAMES.items() if code not in DATA_ONLY}


def status(fault: Fault) -> int | None:
    """Return the fault status code of a fault, None where the manual has none."""
    return _CODE_OF.get((fault.kind, fault.level))


def fault_of(code: int, s1ptw: bool) -> Fault | None:
    """Return the fault that a code stands for, None where it is reserved.

    Its stage is 1 until it is known who took it: only a fault on a stage 1 table walk says itself that it is stage 2's.
    """
    known = FAULT_STATUS.get(code)
    return Fault(known[0], 2 if s1ptw else 1, known[1], s1ptw) if known else None


def is_a(kind: FaultKind, code: int) -> bool:
    """Return whether a code stands for a fault of this kind, at any level."""
    return FAULT_STATUS.get(code, (None, None))[0] is kind
