"""One sentence of the manual on what a control traps, as data; and the conditions that such sentences begin with."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, HCRX_EL2, SCR_EL3
from gdbtools.bits import Field


class Under(enum.Enum):
    """Under which of HCR_EL2.{E2H, TGE} a rule holds."""

    ANY = enum.auto()
    HOST = enum.auto()
    """{1, 1}: EL0 is a host's."""
    GUEST = enum.auto()
    """Not {1, 1}."""
    E2H = enum.auto()
    NOT_E2H = enum.auto()
    E2H_GUEST = enum.auto()
    """{1, 0}."""

    def holds(self, e2h: bool, tge: bool) -> bool:
        host = e2h and tge
        return {
            Under.ANY: True,
            Under.HOST: host,
            Under.GUEST: not host,
            Under.E2H: e2h,
            Under.NOT_E2H: not e2h,
            Under.E2H_GUEST: e2h and not tge,
        }[self]


@dataclass(frozen=True, slots=True)
class Condition:
    """A field of a register, and the values of it that trap."""

    holder: str
    field: Field
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TrapRule:
    """What is `trapped` to `target` from `levels` while all the conditions hold."""

    conditions: tuple[Condition, ...]
    levels: tuple[int, ...]
    target: int
    trapped: tuple[str, ...]
    reads: bool = True
    writes: bool = True
    under: Under = Under.GUEST
    spared: tuple[str, ...] = ()
    """What matches a pattern of `trapped`, and is not trapped."""


def when(holder: str, field: Field, *values: int) -> Condition:
    """Return the condition that a field is one of these values, or 1."""
    return Condition(holder, field, values or (1,))


def clear(holder: str, field: Field) -> Condition:
    """Return the condition that a field is 0."""
    return Condition(holder, field, (0,))


def hcr(name: str, value: int = 1) -> Condition:
    """Return a condition of HCR_EL2."""
    return Condition("HCR_EL2", HCR_EL2.field(name), (value,))


def hcrx(name: str, value: int = 0) -> Condition:
    """Return a condition of HCRX_EL2, whose fields mostly trap while they are 0."""
    return Condition("HCRX_EL2", HCRX_EL2.field(name), (value,))


def scr(name: str, value: int = 0) -> Condition:
    """Return a condition of SCR_EL3, whose fields mostly trap while they are 0."""
    return Condition("SCR_EL3", SCR_EL3.field(name), (value,))
