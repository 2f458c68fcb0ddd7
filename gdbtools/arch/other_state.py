"""What one architecture asks of another whose execution state its lower levels may be in."""

from __future__ import annotations

import abc

from gdbtools.arch.model import Access, Fault, Privilege, ReadRegister, Refusal, Regime, Walk


class OtherState(abc.ABC):
    """What translates for a CPU's lower levels while they are in a state that is another architecture's.

    Its registers are those of the higher level's state, by the names that they have there.
    """

    @abc.abstractmethod
    def regimes(
        self,
        register: ReadRegister,
        levels: tuple[Privilege, Privilege],
        below: Regime | None,
        off: str,
        default_cacheable: bool,
    ) -> tuple[Regime, ...]:
        """Return the ranges of the lower levels' stage 1 above the stage `below`, in the order of their addresses.

        `levels` are the privileged one and the user's, as the higher state calls them.  `off` says why stage 1 is off,
        empty where its own registers decide; `default_cacheable` is how memory then is.
        """

    @abc.abstractmethod
    def is_of(self, regime: Regime) -> bool:
        """Return whether a regime is one of these."""

    @abc.abstractmethod
    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:
        """Return what refuses an access to what a walk of such a regime found, at either stage; as `Architecture`."""

    @abc.abstractmethod
    def status(self, fault: Fault, walk: Walk) -> int | None:
        """Return the fault status of a fault of such a walk, in the format of its tables."""
