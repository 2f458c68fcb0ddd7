"""What a path grants to a level of privilege: each right, or what withholds it."""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.arch.model import AccessKind, Cause, Decider, Fault, FaultKind, Refusal, Rights, Step
from gdbtools.bits import Field


@dataclass(frozen=True, slots=True)
class Limit:
    """A restriction, and the descriptor or the register that imposes it."""

    cause: Cause
    field: Field
    value: int
    step: Step | None = None
    register: str = ""

    def refuse(self, stage: int, level: int) -> Refusal:
        fault = Fault(FaultKind.PERMISSION, stage, level)
        if self.step is None:
            return Refusal(fault, Decider(self.cause, self.register, self.field, self.value))
        where = self.step.pa, self.step.level.number
        return Refusal(fault, Decider(self.cause, "descriptor", self.field, self.value, *where))


@dataclass(frozen=True, slots=True)
class Grant:
    """What one privilege level may do: each right granted (None) or withheld by a named limit."""

    read: Limit | None
    write: Limit | None
    execute: Limit | None
    shadow_stack: bool = False

    @property
    def rights(self) -> Rights:
        return Rights(self.read is None, self.write is None, self.execute is None, self.shadow_stack)

    def without_fetches(self, limit: Limit | None) -> Grant:
        """Take away execution where there is a limit."""
        return Grant(self.read, self.write, self.execute or limit, self.shadow_stack)

    def without_call_stack(self) -> Grant:
        """Take away the call stack's own instructions."""
        return Grant(self.read, self.write, self.execute)

    def of(self, kind: AccessKind) -> Limit | None:
        """Return what withholds a read, a write or a fetch; there is no read here that needs another right."""
        return {AccessKind.WRITE: self.write, AccessKind.EXECUTE: self.execute}.get(kind, self.read)
