"""Exception syndromes, ESR_ELx: every exception class, one file for each ISS encoding.

Source: DDI 0487, "ESR_EL1, Exception Syndrome Register (EL1)", and those of EL2 and EL3: each encoding is named as its
heading there.  What sets FAR and ELR: "AArch64.ReportException" and "Preferred exception return address".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from gdbtools.arch.aarch64.syndrome.branch_target import BranchTarget
from gdbtools.arch.aarch64.syndrome.call import Call, SMCAArch32
from gdbtools.arch.aarch64.syndrome.data_abort import DataAbort, data_abort
from gdbtools.arch.aarch64.syndrome.debug.breakpoint import Breakpoint
from gdbtools.arch.aarch64.syndrome.debug.profiling import Profiling
from gdbtools.arch.aarch64.syndrome.debug.software_breakpoint import SoftwareBreakpoint
from gdbtools.arch.aarch64.syndrome.debug.software_step import SoftwareStep
from gdbtools.arch.aarch64.syndrome.debug.watchpoint import Watchpoint
from gdbtools.arch.aarch64.syndrome.doubts import doubts
from gdbtools.arch.aarch64.syndrome.encoding import Encoding, ESR_ELx
from gdbtools.arch.aarch64.syndrome.exception_class import EC
from gdbtools.arch.aarch64.syndrome.floating_point import FloatingPointException
from gdbtools.arch.aarch64.syndrome.granule_protection import GranuleProtectionCheck
from gdbtools.arch.aarch64.syndrome.guarded_control_stack import guarded_control_stack
from gdbtools.arch.aarch64.syndrome.instruction_abort import InstructionAbort
from gdbtools.arch.aarch64.syndrome.memory_operation import memory_operation
from gdbtools.arch.aarch64.syndrome.no_iss import NoISS, Unallocated
from gdbtools.arch.aarch64.syndrome.pointer_authentication_failure import PointerAuthenticationFailure
from gdbtools.arch.aarch64.syndrome.serror import serror
from gdbtools.arch.aarch64.syndrome.trapped.coprocessor import Coprocessor
from gdbtools.arch.aarch64.syndrome.trapped.coprocessor_memory import coprocessor_memory
from gdbtools.arch.aarch64.syndrome.trapped.coprocessor_pair import CoprocessorPair
from gdbtools.arch.aarch64.syndrome.trapped.exception_return import ExceptionReturn
from gdbtools.arch.aarch64.syndrome.trapped.floating_point_access import FloatingPointAccess
from gdbtools.arch.aarch64.syndrome.trapped.other_instruction import OtherInstruction
from gdbtools.arch.aarch64.syndrome.trapped.sme_access import SMEAccess
from gdbtools.arch.aarch64.syndrome.trapped.system import TrappedSystem
from gdbtools.arch.aarch64.syndrome.trapped.system_128 import System128
from gdbtools.arch.aarch64.syndrome.trapped.transaction_start import TransactionStart
from gdbtools.arch.aarch64.syndrome.trapped.wait import Wait
from gdbtools.arch.arm.fault_status import status
from gdbtools.arch.model import AddressMeaning, FaultKind, Return, Syndrome

__all__ = [
    "CLASSES",
    "EC",
    "Coprocessor",
    "CoprocessorPair",
    "DataAbort",
    "ESR_ELx",
    "Encoding",
    "InstructionAbort",
    "TrappedSystem",
    "decode",
    "status",
]

_FAR, _ELR = AddressMeaning, Return


@dataclass(frozen=True)
class ExceptionClass:
    """How the ISS is laid out, what FAR_ELx holds unless the ISS says otherwise, and where ELR_ELx leads."""

    layout: Callable[[int], type[Encoding]]
    address: AddressMeaning = _FAR.UNKNOWN
    returns: Return = _ELR.THIS_INSTRUCTION


def _always(layout: type[Encoding]) -> Callable[[int], type[Encoding]]:
    return lambda _: layout


_NO_ISS = _always(NoISS)
_CALL = _always(Call)
CLASSES: Mapping[int, ExceptionClass] = {
    EC.UNKNOWN: ExceptionClass(_NO_ISS),
    EC.WF: ExceptionClass(_always(Wait)),
    EC.CP15_MCR_MRC: ExceptionClass(_always(Coprocessor)),
    EC.CP15_MCRR_MRRC: ExceptionClass(_always(CoprocessorPair)),
    EC.CP14_MCR_MRC: ExceptionClass(_always(Coprocessor)),
    EC.LDC_STC: ExceptionClass(coprocessor_memory),
    EC.FLOATING_POINT_ACCESS: ExceptionClass(_always(FloatingPointAccess)),
    EC.VMRS: ExceptionClass(_always(Coprocessor)),
    EC.POINTER_AUTHENTICATION: ExceptionClass(_NO_ISS),
    EC.OTHER_INSTRUCTION: ExceptionClass(_always(OtherInstruction)),
    EC.CP14_MRRC: ExceptionClass(_always(CoprocessorPair)),
    EC.BRANCH_TARGET: ExceptionClass(_always(BranchTarget)),
    EC.ILLEGAL_STATE: ExceptionClass(_NO_ISS),
    EC.SVC_AARCH32: ExceptionClass(_CALL, returns=_ELR.NEXT_UNLESS_TRAPPED),
    EC.HVC_AARCH32: ExceptionClass(_CALL, returns=_ELR.NEXT_INSTRUCTION),
    EC.SMC_AARCH32: ExceptionClass(_always(SMCAArch32), returns=_ELR.NEXT_UNLESS_TRAPPED),
    EC.SYSTEM_128: ExceptionClass(_always(System128)),
    EC.SVC: ExceptionClass(_CALL, returns=_ELR.NEXT_UNLESS_TRAPPED),
    EC.HVC: ExceptionClass(_CALL, returns=_ELR.NEXT_INSTRUCTION),
    EC.SMC: ExceptionClass(_CALL, returns=_ELR.NEXT_UNLESS_TRAPPED),
    EC.SYSTEM: ExceptionClass(_always(TrappedSystem)),
    EC.SVE_ACCESS: ExceptionClass(_NO_ISS),
    EC.ERET: ExceptionClass(_always(ExceptionReturn)),
    EC.TSTART: ExceptionClass(_always(TransactionStart)),
    EC.POINTER_AUTHENTICATION_FAILURE: ExceptionClass(_always(PointerAuthenticationFailure)),
    EC.SME_ACCESS: ExceptionClass(_always(SMEAccess)),
    EC.GRANULE_PROTECTION_CHECK: ExceptionClass(_always(GranuleProtectionCheck)),
    EC.IMPLEMENTATION_DEFINED_EL3: ExceptionClass(_always(Unallocated)),
    EC.INSTRUCTION_ABORT_LOWER_EL: ExceptionClass(_always(InstructionAbort)),
    EC.INSTRUCTION_ABORT_SAME_EL: ExceptionClass(_always(InstructionAbort)),
    EC.PC_ALIGNMENT: ExceptionClass(_NO_ISS, _FAR.MISALIGNED_PC),
    EC.DATA_ABORT_LOWER_EL: ExceptionClass(data_abort),
    EC.DATA_ABORT_SAME_EL: ExceptionClass(data_abort),
    EC.SP_ALIGNMENT: ExceptionClass(_NO_ISS),
    EC.MEMORY_OPERATION: ExceptionClass(memory_operation),
    EC.FLOATING_POINT_AARCH32: ExceptionClass(_always(FloatingPointException)),
    EC.FLOATING_POINT: ExceptionClass(_always(FloatingPointException)),
    EC.GUARDED_CONTROL_STACK: ExceptionClass(guarded_control_stack),
    EC.SERROR: ExceptionClass(serror, returns=_ELR.INTERRUPTED),
    EC.BREAKPOINT_LOWER_EL: ExceptionClass(_always(Breakpoint)),
    EC.BREAKPOINT_SAME_EL: ExceptionClass(_always(Breakpoint)),
    EC.SOFTWARE_STEP_LOWER_EL: ExceptionClass(_always(SoftwareStep), returns=_ELR.INTERRUPTED),
    EC.SOFTWARE_STEP_SAME_EL: ExceptionClass(_always(SoftwareStep), returns=_ELR.INTERRUPTED),
    EC.WATCHPOINT_LOWER_EL: ExceptionClass(_always(Watchpoint)),
    EC.WATCHPOINT_SAME_EL: ExceptionClass(_always(Watchpoint)),
    EC.BKPT_AARCH32: ExceptionClass(_always(SoftwareBreakpoint)),
    EC.VECTOR_CATCH_AARCH32: ExceptionClass(_always(Breakpoint)),
    EC.BRK: ExceptionClass(_always(SoftwareBreakpoint)),
    EC.PROFILING: ExceptionClass(_always(Profiling), returns=_ELR.INTERRUPTED),
}
_UNALLOCATED = ExceptionClass(_always(Unallocated), returns=_ELR.UNKNOWN)
_LOWER = (
    EC.INSTRUCTION_ABORT_LOWER_EL,
    EC.DATA_ABORT_LOWER_EL,
    EC.BREAKPOINT_LOWER_EL,
    EC.SOFTWARE_STEP_LOWER_EL,
    EC.WATCHPOINT_LOWER_EL,
)
_SAME = (
    EC.INSTRUCTION_ABORT_SAME_EL,
    EC.DATA_ABORT_SAME_EL,
    EC.BREAKPOINT_SAME_EL,
    EC.SOFTWARE_STEP_SAME_EL,
    EC.WATCHPOINT_SAME_EL,
)
# "HPFAR_EL2": what stage 2 refuses by itself, and what it refuses to a stage 1 table walk; all else leaves it UNKNOWN.
_IPA_KINDS = (FaultKind.TRANSLATION, FaultKind.ACCESS_FLAG, FaultKind.ADDRESS_SIZE)
_IPA_KINDS_ON_WALK = (*_IPA_KINDS, FaultKind.PERMISSION, FaultKind.GRANULE_PROTECTION)


def _from_lower(word: Encoding) -> bool | None:
    """Return where it came from, if the class tells: what EL1 did through VNCR_EL2 has the class of what EL2 does."""
    if word.EC in _LOWER:
        return True
    return word.through_vncr if word.EC in _SAME else None


def _laid_out(value: int) -> Encoding:
    return CLASSES.get(ESR_ELx.EC.of(value), _UNALLOCATED).layout(value)(value)


@lru_cache(maxsize=256)
def decode(value: int) -> Syndrome:
    """Decode ESR_ELx; never refuses a value, and accounts for every bit of it."""
    number = ESR_ELx.EC.of(value)
    kind = CLASSES.get(number, _UNALLOCATED)
    word = _laid_out(value)
    fault = word.fault
    ipa = (
        fault is not None
        and not word.through_vncr
        and fault.kind in (_IPA_KINDS_ON_WALK if fault.s1ptw else _IPA_KINDS)
    )
    return Syndrome(
        word=word,
        name=ESR_ELx.EC.meaning(number) or f"reserved exception class {number:#04x}",
        fault=fault,
        access_kind=word.access_kind,
        status=word.status,
        from_lower=_from_lower(word),
        address=word.address or kind.address,
        ipa_valid=ipa,
        s1ptw=word.on_stage1_walk,
        returns=kind.returns,
        instruction=word.instruction,
        target=word.target,
        immediate=word.immediate,
        transfer=word.transfer,
        other_rules=word.other_rules,
        notes=(*word.notes, *doubts(word, _laid_out)),
    )
