"""What a crash may come of, ranked: what the system says, what its lists say of a pointer, and one flipped bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gdbtools import systems
from gdbtools.addresses import VA
from gdbtools.analysis.crashes import bit_flips
from gdbtools.analysis.crashes.instruction import PrintedInstruction
from gdbtools.analysis.crashes.model import CrashCause, Strength
from gdbtools.analysis.faults.diagnosis import Diagnosis
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import AccessKind, FaultKind
from gdbtools.systems.crash import Crash
from gdbtools.units import PAGE_BYTES

_LETTERS: Final = range(0x20, 0x7F)
_WORD_BYTES: Final = 8
_STACK_POINTERS: Final = ("sp", "rsp")


def causes(
    crash: Crash, architecture: Architecture, diagnosis: Diagnosis | None, instruction: PrintedInstruction | None
) -> Sequence[CrashCause]:
    """Return what a crash may come of, the strongest first; `diagnosis` is None where no tables were asked."""
    found = [*_told(crash), *_for_users_sake(crash, architecture, diagnosis)]
    address = crash.address
    if address is None and crash.exception and instruction is not None:
        address = instruction.access.address
    if address is not None:
        pointer = list(_of_pointer(crash, architecture, address, instruction))
        found += pointer
        found += [] if pointer else filter(None, [bit_flips.of_pointer(address, crash.stated)])
        found += _of_stack(crash, address, diagnosis)
    if diagnosis is not None:
        found += filter(None, [bit_flips.of_entry(diagnosis.walk, diagnosis.predicted)])
    return sorted(found, key=lambda each: -each.strength)


def _told(crash: Crash) -> Iterator[CrashCause]:
    for said in crash.claims:
        yield CrashCause(said, Strength.SHOWN, ())


def _for_users_sake(crash: Crash, architecture: Architecture, diagnosis: Diagnosis | None) -> Iterator[CrashCause]:
    """Yield that a kernel accessed what is a process's, where that alone was refused."""
    refused = None if diagnosis is None else diagnosis.predicted
    if diagnosis is None or refused is None or not refused.decider.cause.is_for_users_sake:
        return
    if diagnosis.access is not None and diagnosis.access.kind is AccessKind.EXECUTE:
        yield CrashCause("the kernel went to a process's page: a function pointer that leads there", Strength.SHOWN, ())
        return
    helpers = systems.users_helpers(architecture, crash.system)
    without = f" without the helpers for it ({helpers})" if helpers else ""
    yield CrashCause(f"a process's memory was accessed from the kernel{without}", Strength.SHOWN, ())


def _of_pointer(
    crash: Crash, architecture: Architecture, address: VA, instruction: PrintedInstruction | None
) -> Iterator[CrashCause]:
    """Yield what the pointer is that was followed: the register that the address is made of, if it is known."""
    base = None if instruction is None or instruction.doubt else instruction.access
    value = address if base is None or base.pointer is None else VA(base.pointer)
    holder = base.base if base is not None and base.pointer is not None else ""
    evidence = (f"{holder} is {value:#x}",) if holder else ()
    listed = systems.of_address(architecture, crash.system, value)
    listed = listed or systems.of_address(architecture, crash.system, address)
    if listed:
        yield CrashCause(f"the pointer is no pointer: {listed}", Strength.LIKELY, evidence)
    elif holder and value == 0:
        yield CrashCause(f"{holder} is a null pointer, and a field at {address:#x} was accessed", Strength.SHOWN, ())
    elif address < PAGE_BYTES:
        yield CrashCause(f"a null pointer, of which a field at {address:#x} was accessed", Strength.LIKELY, evidence)
    elif text := _text(value):
        yield CrashCause(f"the pointer was overwritten by text: {text!r}", Strength.LIKELY, evidence)


def _text(value: int) -> str:
    """Return the characters that a pointer is, in the order of memory; empty where it is not all text."""
    data = value.to_bytes(_WORD_BYTES, "little")
    return data.decode("ascii") if all(byte in _LETTERS for byte in data) else ""


def _of_stack(crash: Crash, address: VA, diagnosis: Diagnosis | None) -> Iterator[CrashCause]:
    """Yield that the stack has run out, where nothing is mapped right at its pointer."""
    fault = None if diagnosis is None else diagnosis.exception.syndrome.fault
    name = next((each for each in _STACK_POINTERS if each in crash.stated), "")
    fetched = diagnosis is not None and diagnosis.access is not None and diagnosis.access.kind is AccessKind.EXECUTE
    unmapped = fault is not None and fault.kind in (FaultKind.TRANSLATION, FaultKind.PAGE) and not fetched
    if not name or not (unmapped or crash.exception):
        return
    distance = crash.stated[name] - address
    if -PAGE_BYTES < distance < PAGE_BYTES and crash.stated[name]:
        how = f"{distance:#x} below" if distance > 0 else f"{-distance:#x} above"
        yield CrashCause(
            "the stack has run out, or its pointer is wrong", Strength.LIKELY, (f"the address is {how} {name}",)
        )
