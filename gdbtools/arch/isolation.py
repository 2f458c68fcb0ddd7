"""One process, two roots: a reduced address space for the user, and the full one that the kernel changes to on entry.

Kernel page-table isolation is this idea on Arm and x86, and so is the user's root of a paravirtual guest.  While the
reduced space is in force nearly all of the kernel is not mapped, and what is asked about it has to be asked of the full
one: the same CPU, with other values in a few registers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gdbtools.addresses import VA
from gdbtools.arch.model import ReadRegister, Regime

Load = Callable[[VA, int], bytes]
"""Return `size` bytes at a virtual address; raise `Unavailable` where nothing is mapped, `Unreadable` where memory
does not have it."""
View = Callable[[Mapping[str, int]], Load]
"""Return virtual memory as it is with these registers otherwise."""


@dataclass(frozen=True, slots=True)
class Switch:
    """What changes a reduced space into a full one: the registers of translation that get other values.

    `entries` are where the full space then takes synchronous exceptions, with the name of each, empty where nothing
    says so.  `said` is in words where this is known from; it has yet to be held against the tables.
    """

    registers: Mapping[str, int]
    entries: Mapping[VA, str]
    said: str


@dataclass(frozen=True, slots=True)
class Isolation:
    """A range in force that is a reduced one, with `leaves` leaves, and what is known of the full one.

    `full` is the same range in the full space, None where that is not proven; `switch` is what leads there.
    `entries` are where the full space takes synchronous exceptions, with the name of each; empty where that is not
    known.  `evidence` is in words what proves it, or why nothing does.  `of_guest` says that the spaces are a
    paravirtual guest's, whose kernel hardware does not take for a privileged one.
    """

    reduced: Regime
    leaves: int
    full: Regime | None
    switch: Switch | None
    evidence: tuple[str, ...]
    entries: Mapping[VA, str]
    of_guest: bool = False

    @property
    def registers(self) -> Mapping[str, int]:
        """The registers that have other values in the full space; none where it is not proven."""
        return self.switch.registers if self.switch is not None and self.full is not None else {}


def overlaid(register: ReadRegister, values: Mapping[str, int]) -> ReadRegister:
    """Return registers of which some have these values."""
    return lambda name: values[name] if name in values else register(name)
