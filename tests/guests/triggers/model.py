"""What a trigger is: a case and the exception it has to end in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.syndromes import DAIF, EL0T, EL1H, EL2H, EL3H, Case

AT = {0: EL0T, 1: EL1H, 2: EL2H, 3: EL3H}
"""PSTATE.M of each level in AArch64, with its own stack pointer."""


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A case, and what the manual says of the exception: every field that is given has to be as given.

    The instruction at the label `here` raises it, the first one where there is no such label. `instruction` is what the
    syndrome tells of it: None for all that the disassembler says, empty for nothing.
    """

    name: str
    case: Case
    target: int
    ec: EC
    fields: Mapping[str, int] = field(default_factory=dict)
    instruction: str | None = None
    immediate: int | None = None
    far: int | None = None
    ipa: int | None = None
    returns_to_next: bool = False
    elr: int | None = None
    """ELR where it is neither the instruction nor the next."""
    serror: bool = False
    """Whether it has the vector of an SError."""
    needs: tuple[str, ...] = ()
    """Names in `FEATURES`."""
    level: int = 2
    """The level of the guest that can raise it, and of those above."""


def at(
    el: int,
    source: str,
    registers: Mapping[str, int] | None = None,
    x: Mapping[int, int] | None = None,
    pstate: int = 0,
) -> Case:
    """Return a case at a level in AArch64, with more of PSTATE than usual."""
    return Case(source, AT[el] | DAIF | pstate, dict(registers or {}), dict(x or {}))
