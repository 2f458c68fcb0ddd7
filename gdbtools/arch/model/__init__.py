"""The values that every architecture's translation speaks in, and that cross all rooms.

A frozen `Walk` keeps every descriptor it met; `Fault` is the same type whether it comes from a walk or from a syndrome,
so that comparing the two is both the diagnosis and the test oracle.  Meaning is an enum; wording is a view's.
"""

from __future__ import annotations

from gdbtools.arch.model.access import Access, AccessKind, Privilege, Rights
from gdbtools.arch.model.exception import (
    Agreement,
    EntryNeed,
    ExceptionRecord,
    Fit,
    InstructionAccess,
    RecordNames,
    Shown,
    VectorEntry,
)
from gdbtools.arch.model.fault import Cause, Decider, Fault, FaultKind, Refusal
from gdbtools.arch.model.mapping import Hole, LeafKind, Run
from gdbtools.arch.model.registers import (
    Assumption,
    Brief,
    CpuRegisters,
    Derived,
    ReadRegister,
    Stub,
    by_cpu,
    memory_of,
    optional,
    with_memory,
    written_down,
)
from gdbtools.arch.model.syndrome import AddressMeaning, Return, Syndrome, Transfer, TrappedOperand
from gdbtools.arch.model.walk import (
    Attributes,
    Entry,
    EntryKind,
    Expect,
    Fetch,
    Level,
    Mapped,
    Read,
    Regime,
    Step,
    Walk,
    expecting,
)

__all__ = [
    "Access",
    "AccessKind",
    "AddressMeaning",
    "Agreement",
    "Assumption",
    "Attributes",
    "Brief",
    "Cause",
    "CpuRegisters",
    "Decider",
    "Derived",
    "Entry",
    "EntryKind",
    "EntryNeed",
    "ExceptionRecord",
    "Expect",
    "Fault",
    "FaultKind",
    "Fetch",
    "Fit",
    "Hole",
    "InstructionAccess",
    "LeafKind",
    "Level",
    "Mapped",
    "Privilege",
    "Read",
    "ReadRegister",
    "RecordNames",
    "Refusal",
    "Regime",
    "Return",
    "Rights",
    "Run",
    "Shown",
    "Step",
    "Stub",
    "Syndrome",
    "Transfer",
    "TrappedOperand",
    "VectorEntry",
    "Walk",
    "by_cpu",
    "expecting",
    "memory_of",
    "optional",
    "with_memory",
    "written_down",
]
