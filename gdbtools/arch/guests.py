"""A hypervisor's guest as the registers of one CPU describe it: which second stage is loaded, and whether it runs."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gdbtools.arch.model import ReadRegister, Regime
from gdbtools.bits import FieldValue


@dataclass(frozen=True)
class LoadedGuest:
    """The guest whose second stage a CPU holds.

    `identifier` is what its TLB entries are marked by, None where the registers have none.  `runs` says whether the CPU
    is below its hypervisor and translates through it, None where that is not known; unless it does, `caveat` says in a
    sentence why the registers may be another's.  `virtual_cpu` is the affinity by which the guest knows the CPU that
    was loaded with it, None where no register says it.
    """

    regime: Regime
    identifier: int | None
    runs: bool | None
    caveat: str = ""
    virtual_cpu: int | None = None


@dataclass(frozen=True)
class Trap:
    """A control that a hypervisor sets for a guest, and what it means for that one as it is."""

    register: str
    control: FieldValue
    meaning: str


class GuestRegisters(abc.ABC):
    """What an architecture's registers say of the guests of a hypervisor.

    `identifier` is what the manual calls that by which a guest's TLB entries are told from others'.
    `cleans_by_set_way` says that a guest can clean caches by no address, which a hypervisor has to answer by cleaning
    all of it by address.  `kept_root` is the register of a guest's own root where it is kept with its second stage, so
    that somebody has to give it; empty where the registers of a CPU have it.
    """

    identifier: str
    kept_root = ""
    cleans_by_set_way = False

    @abc.abstractmethod
    def stage(self, register: ReadRegister) -> str:
        """Return the name of the regime that is a guest's second stage; raise `Unavailable` where that is not known."""

    @abc.abstractmethod
    def loaded(self, register: ReadRegister) -> LoadedGuest | None:
        """Return the guest that a CPU holds; None where it holds none.

        Raises `Unavailable` where no register says so.
        """

    @abc.abstractmethod
    def entered(self, register: ReadRegister) -> Mapping[str, int]:
        """Return registers that have a CPU in the guest that it holds, at the level of that one's kernel.

        Raises `Unavailable` where the registers of the guest's own stage cannot be shown to be its.
        """

    @abc.abstractmethod
    def alone(self, register: ReadRegister) -> Mapping[str, int]:
        """Return registers that have a CPU in the guest that it holds as if there were no second stage.

        What is an address of the guest's machine is then taken for a physical one.  Raises as `entered`.
        """

    def traps(self, register: ReadRegister) -> Sequence[Trap]:  # noqa: ARG002
        """Return the controls that decide what becomes of a guest's cache maintenance, in the order of their effect."""
        return ()

    def line_bytes(self, register: ReadRegister) -> int | None:  # noqa: ARG002
        """Return the smallest line of the data caches, in bytes; None where no register says it."""
        return None
