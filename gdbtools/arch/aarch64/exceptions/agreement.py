"""Whether registers are of one exception: the syndrome held against SPSR, FAR and the instruction at ELR.

An interrupt writes ELR and SPSR and leaves ESR and FAR, a handler's own exception overwrites all of them, and a return
to somebody else sets ELR and SPSR by hand: so what stands side by side need not belong together.

Source: DDI 0487, "Exception entry", "Preferred exception return address", "ESR_EL1" and the ISS of each class; "A64
instruction set encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch64.exceptions.execution_state import AARCH32_ONLY, AARCH64_ONLY
from gdbtools.arch.aarch64.instructions.classes import is_always_defined, text
from gdbtools.arch.aarch64.instructions.gadgets import INSTRUCTION_BYTES
from gdbtools.arch.aarch64.instructions.memory_instructions import InstructionEncoding, MemoryAccess, memory_access
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.syndrome import EC, ESR_ELx
from gdbtools.arch.model import (
    AccessKind,
    AddressMeaning,
    Agreement,
    ExceptionRecord,
    FaultKind,
    Fit,
    ReadRegister,
    Return,
    Syndrome,
    VectorEntry,
)
from gdbtools.bits import Field
from gdbtools.errors import Unavailable

_PAGE: Final = -1 << 12
_TAG: Final = Field((63, 56))
_IMMEDIATE: Final = Field((20, 5), doc="imm16 of an exception generating instruction")
_HALFWORD_BYTES: Final = 2
"""Of a T32 instruction of which ESR_ELx.IL is 0."""
_SP: Final = 31
_MOST_BYTES: Final = 64
"""The most that an instruction with a base register moves, where its size is not told."""

_MAINTENANCE: Final = (AccessKind.MAINTENANCE, AccessKind.INVALIDATION, AccessKind.CLEAN_INVALIDATION)
Words = tuple[InstructionEncoding, ...]


def _words(*pairs: tuple[int, int]) -> Words:
    return tuple(InstructionEncoding(mask, match) for mask, match in pairs)


def _any(words: Words, instruction: int) -> bool:
    return any(instruction in each for each in words)


_ALL: Final = 0xFFFF_FFFF
_SYSTEM: Final = _words((0xFFC0_0000, 0xD500_0000))
_SYSTEM_128: Final = _words((0xFFC0_0000, 0xD540_0000))
_SVE: Final = _words((0x1E00_0000, 0x0400_0000))
_SME: Final = _words((0x9E00_0000, 0x8000_0000))
_FLOATING_POINT: Final = _words((0x0E00_0000, 0x0E00_0000), (0x0E00_0000, 0x0C00_0000))
"""Data processing, and loads and stores of SIMD and FP registers."""
_ERET: Final = _words((_ALL, 0xD69F_03E0), (0xFFFF_FBFF, 0xD69F_0BFF))
_RETURNS: Final = _words((0xFFFF_FC1F, 0xD65F_0000), (0xFFFF_FBFF, 0xD65F_0BFF), (0xFF80_001F, 0x5500_001F))
_AUTHENTICATES: Final = (
    *_words(
        (0xFFFF_F01F, 0xD503_201F),  # hints, among them PACIASP and AUTIASP
        (0xFFFF_0000, 0xDAC1_0000),
        (0xFFE0_FC00, 0x9AC0_3000),  # PACGA
        (0xFE1F_F800, 0xD61F_0800),  # BRAA, BLRAA, RETAA, ERETAA and those of key B
        (0xFF20_0400, 0xF820_0400),  # LDRAA, LDRAB
        (0xFF80_001F, 0x5500_001F),  # RETAASPPC and its like
    ),
)


@dataclass(frozen=True, slots=True)
class AgreementRule:
    """What the instruction of a class has to be: `what` in words, after "no", where the syndrome does not tell it."""

    fits: Callable[[Syndrome, int], bool]
    what: str = ""


def _is(*words: Words) -> Callable[[Syndrome, int], bool]:
    joined = tuple(each for group in words for each in group)
    return lambda found, instruction: _any(joined, instruction)  # noqa: ARG005


def _generates(match: int) -> Callable[[Syndrome, int], bool]:
    """Return what tells SVC, HVC, SMC or BRK with the immediate of the syndrome."""
    encoding = InstructionEncoding(0xFFE0_001F, match)
    return lambda found, word: word in encoding and _IMMEDIATE.of(word) == found.immediate


_OPERATION: Final = (
    ("Op0", Field((20, 19))),
    ("Op1", Field((18, 16))),
    ("CRn", Field((15, 12))),
    ("CRm", Field((11, 8))),
    ("Op2", Field((7, 5))),
    ("Direction", Field(21)),
    ("Rt", Field((4, 0))),
)
"""The fields of the ISS that stand in the instruction, too."""


def _system(words: Words) -> Callable[[Syndrome, int], bool]:
    def fits(found: Syndrome, instruction: int) -> bool:
        iss: Any = found.word
        return _any(words, instruction) and all(getattr(iss, name) == at.of(instruction) for name, at in _OPERATION)

    return fits


_WAITS: Final[Mapping[int, InstructionEncoding]] = {
    0b00: InstructionEncoding(_ALL, 0xD503_207F),
    0b01: InstructionEncoding(_ALL, 0xD503_205F),
    0b10: InstructionEncoding(0xFFFF_FFE0, 0xD503_1020),
    0b11: InstructionEncoding(0xFFFF_FFE0, 0xD503_1000),
}
"""WFI, WFE, WFIT and WFET, by the syndrome's TI."""
_OTHERS: Final[Mapping[int, InstructionEncoding]] = {
    0: InstructionEncoding(0xFFE0_FC00, 0xF820_B000),
    1: InstructionEncoding(0xFFE0_FC00, 0xF820_A000),
    2: InstructionEncoding(0xFFFF_BC00, 0xF83F_9000),
    3: InstructionEncoding(_ALL, 0xD503_225F),
    4: InstructionEncoding(_ALL, 0xD503_223F),
}
"""ST64BV, ST64BV0, LD64B or ST64B, TSB CSYNC and PSB CSYNC, by the syndrome's ISS."""


def _listed(encodings: Mapping[int, InstructionEncoding], name: str) -> Callable[[Syndrome, int], bool]:
    def fits(found: Syndrome, instruction: int) -> bool:
        encoding = encodings.get(getattr(found.word, name))
        return encoding is None or instruction in encoding

    return fits


def _accesses(found: Syndrome, instruction: int) -> bool:
    """Return whether an instruction can make the access that was refused: its kind, and what ISV says of it."""
    iss: Any = found.word
    if getattr(iss, "GCS", 0):
        return _any((*_SYSTEM, *_RETURNS), instruction) or _calls(instruction) or memory_access(instruction) is not None
    if getattr(iss, "VNCR", 0):
        return _any((*_SYSTEM, *_SYSTEM_128), instruction)
    access = memory_access(instruction)
    if access is None:
        return False
    kind = AccessKind.MAINTENANCE if found.access_kind in _MAINTENANCE else found.access_kind
    if kind is not None and kind not in access.kinds:
        return False
    moved = found.transfer
    if moved is None or access.register is None:
        return True
    return (moved.size_bytes, int(iss.SRT), moved.signed) == (access.size_bytes, access.register, access.signed)


def _calls(instruction: int) -> bool:
    return _any(_words((0xFC00_0000, 0x9400_0000), (0xFE3F_F000, 0xD63F_0000), (0xFFFF_F800, 0xD63F_0800)), instruction)


def _by_stack_pointer(found: Syndrome, instruction: int) -> bool:  # noqa: ARG001
    access = memory_access(instruction)
    return access is not None and access.base in (None, _SP)


def _copies(found: Syndrome, instruction: int) -> bool:
    """Return whether it is a CPY or a SET of the registers that the syndrome names."""
    iss: Any = found.word
    places = {"destreg": Field((4, 0)), "srcreg": Field((20, 16)), "sizereg": Field((9, 5))}
    group = _words((0x3B20_0C00, 0x1900_0400))
    return _any(group, instruction) and all(getattr(iss, name) == at.of(instruction) for name, at in places.items())


_ABORT: Final = AgreementRule(_accesses)
RULES: Final[Mapping[int, AgreementRule]] = {
    EC.UNKNOWN: AgreementRule(lambda found, word: not is_always_defined(word), "instruction that can be undefined"),  # noqa: ARG005
    EC.WF: AgreementRule(_listed(_WAITS, "TI")),
    EC.FLOATING_POINT_ACCESS: AgreementRule(
        _is(_FLOATING_POINT, _SVE, _SME, _SYSTEM), "SIMD or floating-point instruction"
    ),
    EC.POINTER_AUTHENTICATION: AgreementRule(_is(_AUTHENTICATES), "pointer authentication instruction"),
    EC.OTHER_INSTRUCTION: AgreementRule(_listed(_OTHERS, "ISS")),
    EC.SYSTEM_128: AgreementRule(_system(_SYSTEM_128)),
    EC.SVC: AgreementRule(_generates(0xD400_0001)),
    EC.HVC: AgreementRule(_generates(0xD400_0002)),
    EC.SMC: AgreementRule(_generates(0xD400_0003)),
    EC.SYSTEM: AgreementRule(_system(_SYSTEM)),
    EC.SVE_ACCESS: AgreementRule(_is(_SVE, _SME, _SYSTEM), "SVE instruction"),
    EC.ERET: AgreementRule(_is(_ERET), "ERET"),
    EC.TSTART: AgreementRule(_is(_words((0xFFFF_FFE0, 0xD523_3060))), "TSTART"),
    EC.POINTER_AUTHENTICATION_FAILURE: AgreementRule(_is(_AUTHENTICATES), "pointer authentication instruction"),
    EC.SME_ACCESS: AgreementRule(_is(_SME, _SVE, _FLOATING_POINT, _SYSTEM), "SME instruction"),
    EC.GRANULE_PROTECTION_CHECK: _ABORT,
    EC.DATA_ABORT_LOWER_EL: _ABORT,
    EC.DATA_ABORT_SAME_EL: _ABORT,
    EC.SP_ALIGNMENT: AgreementRule(_by_stack_pointer, "load or store by SP"),
    EC.MEMORY_OPERATION: AgreementRule(_copies),
    EC.FLOATING_POINT: AgreementRule(_is(_FLOATING_POINT, _SVE, _SME), "floating-point instruction"),
    EC.GUARDED_CONTROL_STACK: AgreementRule(
        lambda found, word: _any((*_SYSTEM, *_RETURNS, *_ERET), word) or memory_access(word) is not None,  # noqa: ARG005
        "instruction of the Guarded Control Stack",
    ),
    EC.WATCHPOINT_LOWER_EL: _ABORT,
    EC.WATCHPOINT_SAME_EL: _ABORT,
    EC.BRK: AgreementRule(_generates(0xD420_0000)),
}
"""What is known of the instruction, by class; the others say nothing of one."""


def raised_at(exception: ExceptionRecord) -> VA | None:
    """Return the address of the instruction that an exception is about: ELR_ELx, or behind which ELR_ELx is."""
    if exception.return_address is None:
        return None
    if exception.syndrome.returns is not Return.NEXT_INSTRUCTION:
        return exception.return_address
    in_aarch32 = exception.state is not None and SPSR(exception.state).is_aarch32
    of_t32 = in_aarch32 and not ESR_ELx.IL.of(exception.syndrome.word)
    return VA(exception.return_address - (_HALFWORD_BYTES if of_t32 else INSTRUCTION_BYTES) & (1 << 64) - 1)


def fits(exception: ExceptionRecord, instruction: int | None, register: ReadRegister | None = None) -> Agreement:
    """Return whether the syndrome can be of the state that SPSR, FAR and ELR tell, and of the instruction there.

    `instruction` is the word at `raised_at`, None where it cannot be read.  `register` is given where the general
    registers are still those of the instruction: then its base is held against FAR.
    """
    against = _against_registers(exception)
    if against:
        return Agreement(Fit.CONTRADICTS, against)
    found, elr, at = exception.syndrome, f"ELR_EL{exception.target}", raised_at(exception)
    if at is None:
        return Agreement(Fit.NOT_SHOWN, f"there is no {elr}")
    if found.access_kind is AccessKind.EXECUTE or ESR_ELx.EC.of(found.word) == EC.PC_ALIGNMENT:
        return Agreement(Fit.FITS, f"{elr} is where it was fetched from")
    where = f"{elr} {at:#x}" if at == exception.return_address else f"{at:#x}, before {elr},"
    if exception.state is not None and SPSR(exception.state).is_aarch32:
        from gdbtools.arch.aarch64.exceptions import agreement_aarch32  # only for what AArch32 code has raised

        return agreement_aarch32.agreement(found, exception.state, instruction, where, _what(found))
    rule = RULES.get(ESR_ELx.EC.of(found.word))
    if rule is None:
        return Agreement(Fit.NOT_SHOWN, "this class says nothing of an instruction")
    if exception.state is None:
        return Agreement(Fit.NOT_SHOWN, f"there is no SPSR_EL{exception.target}, so that {elr} may be in AArch32 code")
    if instruction is None:
        return Agreement(Fit.NOT_SHOWN, f"the instruction at {where} cannot be read")
    said = text(instruction)
    if not rule.fits(found, instruction):
        return Agreement(Fit.CONTRADICTS, f"at {where} is {said}, no {rule.what or _what(found)}")
    elsewhere = _base_differs(exception, instruction, register)
    if elsewhere:
        return Agreement(Fit.CONTRADICTS, f"{said} at {where} accesses {elsewhere}")
    return Agreement(Fit.FITS, f"{said} is at {where.rstrip(',')}")


def against_entry(exception: ExceptionRecord, entry: VectorEntry) -> str:
    """Return why an exception cannot have been taken at a vector entry; empty where nothing speaks against it."""
    target = exception.target
    if exception.state is None or exception.origin is None:
        return ""
    state = SPSR(exception.state)
    came = f"SPSR_EL{target} says EL{exception.origin}"
    if entry.name.startswith("lower EL") is not (exception.origin < target):
        return f"pc is at the vector entry {entry.name}, and {came}"
    if entry.name.startswith("current EL") and ("SP_ELx" in entry.name) is not bool(state.M & 1):
        return f"pc is at the vector entry {entry.name}, and {came} with {'SP_ELx' if state.M & 1 else 'SP_EL0'}"
    found, at_serror = exception.syndrome, entry.name.endswith("SError")
    is_serror = ESR_ELx.EC.of(found.word) == EC.SERROR
    # "SCTLR2_ELx.EASE": an External abort may be taken at SError's.
    aborts = found.fault is not None and found.fault.kind is FaultKind.EXTERNAL_ABORT
    if is_serror is not at_serror and not (at_serror and aborts):
        return f"pc is at the vector entry {entry.name}, and ESR_EL{target} says {found.name}"
    return _against_registers(exception)


def _what(found: Syndrome) -> str:
    """Name what the syndrome asks for, after "no"."""
    if found.instruction:
        return found.instruction
    moved, kind = found.transfer, found.access_kind
    name = {AccessKind.READ: "load", AccessKind.WRITE: "store"}.get(kind or AccessKind.READ, "")
    if not name:
        return kind.label if kind else "load or store"
    return f"{name} of {moved.size_bytes} bytes, register {moved.register}" if moved else name


def _against_registers(exception: ExceptionRecord) -> str:
    """Return what in SPSR, FAR and ELR the syndrome cannot be of, whatever the instruction is; empty for nothing."""
    found, target = exception.syndrome, exception.target
    if exception.state is None or exception.origin is None or exception.return_address is None:
        return ""
    state = SPSR(exception.state)
    number = ESR_ELx.EC.of(found.word)
    spsr = f"SPSR_EL{target} says EL{exception.origin}"
    if found.from_lower is not None and found.from_lower is not (exception.origin < target):
        return f"{spsr}, and the class is of {'a lower' if found.from_lower else 'the same'} level"
    if number in (AARCH64_ONLY if state.is_aarch32 else AARCH32_ONLY):
        return f"{spsr} in AArch{32 if state.is_aarch32 else 64}, which has no {found.name}"
    if number == EC.ILLEGAL_STATE and not state.IL:
        return f"SPSR_EL{target}.IL is 0"
    meaning, far, elr = found.address, exception.address, exception.return_address
    # A fetch may have crossed into the next page in T32 alone; a tag is no part of where it was.
    fetched = meaning is AddressMeaning.FETCHED and (_TAG.into(far ^ elr, 0)) & _PAGE and not state.is_aarch32
    if fetched or (meaning is AddressMeaning.MISALIGNED_PC and far != elr):
        return f"FAR_EL{target} is {far:#x} and ELR_EL{target} {elr:#x}, of which a fetch has but one"
    return ""


def _base_differs(exception: ExceptionRecord, instruction: int, register: ReadRegister | None) -> str:
    """Return where an instruction's own registers lead, if FAR is not there; empty where it is, or that is not known.

    Of a watchpoint FAR may be anywhere in a block that the access only touches: nothing is said of it.
    """
    found, access = exception.syndrome, memory_access(instruction)
    known = register is not None and found.address is AddressMeaning.ACCESSED and found.address_valid
    if access is None or not known or found.fault is None or _through_vncr(found):
        return ""
    assert register is not None, "it is known"
    try:
        first = _first(access, exception, register)
    except Unavailable:
        return ""
    if first is None:
        return ""
    size_bytes = access.size_bytes or _MOST_BYTES
    # What is about a line or a block is about all of it, wherever in it the address is.
    below = size_bytes if found.access_kind in _MAINTENANCE or "ZVA" in access.text else 0
    distance = _TAG.into(exception.address - first + below & (1 << 64) - 1, 0)
    return "" if distance < size_bytes + below else f"{first & (1 << 64) - 1:#x}, not FAR_EL{exception.target}'s"


def _through_vncr(found: Syndrome) -> bool:
    iss: Any = found.word
    return bool(getattr(iss, "VNCR", 0))


def _first(access: MemoryAccess, exception: ExceptionRecord, register: ReadRegister) -> int | None:
    """Return the first address that registers make of an access, untruncated; None where they do not tell."""
    if access.base is None or (access.offset is None and access.index is None):
        return None
    first = register(_stack_pointer(exception, register) if access.base == _SP else f"x{access.base}")
    if access.index is None:
        return first + (access.offset or 0)
    number = access.index.number
    return first + access.index.of(0 if number == _SP else register(f"x{number}"))


def _stack_pointer(exception: ExceptionRecord, register: ReadRegister) -> str:
    """Return the name by which the stack pointer of the instruction is read: `sp` is that of the CPU as it is now."""

    def selected(state: int) -> int:
        return SPSR(state).el if state & 1 else 0

    if exception.state is None:
        raise Unavailable("which stack pointer it was is not known")
    then = selected(exception.state)
    return "sp" if then == selected(register("cpsr")) else f"SP_EL{then}"
