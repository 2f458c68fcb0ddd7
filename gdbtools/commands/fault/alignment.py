"""What an address says at an alignment fault: how far it is from a multiple of what the access moves."""

from __future__ import annotations

from gdbtools.analysis.faults.diagnosis import Diagnosis
from gdbtools.arch.model import FaultKind


def alignment_text(diagnosis: Diagnosis) -> str:
    """Return how the address is aligned, and of which type the memory is; empty where the fault is another.

    The access size is known where the syndrome has the transfer; else what the address itself is a multiple of is.
    """
    exception = diagnosis.exception
    syndrome, address = exception.syndrome, exception.address
    fault, transfer = syndrome.fault, syndrome.transfer
    if fault is None or fault.kind is not FaultKind.ALIGNMENT or not syndrome.address_valid:
        return ""
    attributes = diagnosis.walk.attributes if diagnosis.walk else None
    memory = f"; the memory is {attributes.memory}" if attributes else ""
    if transfer is None:
        multiple = address & -address if address else 0
        known = f"a multiple of {multiple} and of no more" if multiple else "a multiple of everything"
        return f"{address:#x} is {known}; the syndrome does not say how large the access is{memory}"
    size, beyond = transfer.size_bytes, address % transfer.size_bytes
    of = f"a multiple of {size}, the size of the access"
    return f"{address:#x} is {f'{beyond} beyond ' if beyond else ''}{of}{memory}"
