"""Who wants what: kinds of access, levels of privilege, and rights."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class AccessKind(enum.Enum):
    """What the processor wanted to do.

    MAINTENANCE is cache maintenance by address, never a write to memory; INVALIDATION the kind that discards what was
    written, and needs the right to write; CLEAN_INVALIDATION the kind that takes it from the caches, or invalidates
    instructions, and may need that right.  READ_EXECUTABLE is a load that needs the right to execute instead of that
    to read.  SHADOW_STACK_READ and SHADOW_STACK_WRITE are those of the call stack's own instructions, where an
    architecture tells them from others.
    """

    READ = enum.auto()
    WRITE = enum.auto()
    EXECUTE = enum.auto()
    MAINTENANCE = enum.auto()
    INVALIDATION = enum.auto()
    CLEAN_INVALIDATION = enum.auto()
    READ_EXECUTABLE = enum.auto()
    SHADOW_STACK_READ = enum.auto()
    SHADOW_STACK_WRITE = enum.auto()

    @property
    def is_shadow_stack(self) -> bool:
        return self in (AccessKind.SHADOW_STACK_READ, AccessKind.SHADOW_STACK_WRITE)

    @property
    def is_write(self) -> bool:
        """Whether it is a write to memory."""
        return self in (AccessKind.WRITE, AccessKind.SHADOW_STACK_WRITE)

    @property
    def is_data(self) -> bool:
        """Whether it is anything but the fetch of an instruction."""
        return self is not AccessKind.EXECUTE

    @property
    def label(self) -> str:
        words = {
            AccessKind.MAINTENANCE: "cache maintenance",
            AccessKind.INVALIDATION: "cache invalidation",
            AccessKind.CLEAN_INVALIDATION: "cache clean and invalidation",
            AccessKind.READ_EXECUTABLE: "read of code",
            AccessKind.SHADOW_STACK_READ: "shadow-stack read",
            AccessKind.SHADOW_STACK_WRITE: "shadow-stack write",
        }
        return words.get(self, self.name.lower())


class Privilege(int):
    """A level of privilege: its rank among the others, and how its architecture names it.

    It compares by rank, the least privileged first, and only levels of one architecture are compared.
    """

    label: str
    record: Mapping[str, int | str]
    """How JSON names it: a key and its value."""
    is_user: bool
    """Whether it is the least privileged of all, or of those that run in its regime."""

    def __new__(
        cls, rank: int, label: str, record: Mapping[str, int | str] | None = None, is_user: bool = False
    ) -> Privilege:
        made = super().__new__(cls, rank)
        made.label = label
        made.record = {"privilege": label} if record is None else record
        made.is_user = is_user or not rank
        return made


@dataclass(frozen=True, slots=True)
class Access:
    """An access of one kind from one level of privilege.

    An `unprivileged` one is checked as if a user made it, unless processor state says otherwise.
    """

    kind: AccessKind
    privilege: Privilege
    unprivileged: bool = False


@dataclass(frozen=True, slots=True)
class Rights:
    """What a level may do, before processor state (PAN and its like) has a say."""

    read: bool
    write: bool
    execute: bool
    shadow_stack: bool = False
    """Written by the call stack's own instructions only."""

    def __str__(self) -> str:
        write = "w" if self.write else "g" if self.shadow_stack else "-"
        return ("r" if self.read else "-") + write + ("x" if self.execute else "-")

    def __and__(self, other: Rights) -> Rights:
        """Return what two stages both allow."""
        return Rights(
            self.read and other.read,
            self.write and other.write,
            self.execute and other.execute,
            self.shadow_stack and other.write,
        )
