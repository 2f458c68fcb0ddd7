"""TLB maintenance by the guest's own instructions: barrier, invalidation, barriers.

Source: DDI 0487, "TLB maintenance requirements and the TLB maintenance instructions": the store of a descriptor, DSB,
TLBI, DSB, and ISB where this CPU is to notice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gdbtools.addresses import VA
from gdbtools.arch.gadgets import Extent, Scope
from gdbtools.errors import Refused
from gdbtools.machine.model import Live, Machine
from gdbtools.repair import run_gadget
from gdbtools.repair.find_gadget import Loan, find, is_reduced, missing

ONE_BY_ONE = 16
"""Up to how many addresses are invalidated one by one, and not all of the regime instead."""


@dataclass(frozen=True)
class Invalidation:
    """Instructions of the guest's to be stepped in order.

    `lacking` names the barriers that the guest has not; without the DSB nothing says that it is complete.  `local` says
    that there are other CPUs whose TLBs it does not reach.
    """

    scopes: Sequence[Scope]
    dsb: Loan | None
    tlbi: Sequence[Loan]
    isb: Loan | None
    lacking: Sequence[str]
    local: bool

    @property
    def loans(self) -> Sequence[Loan]:
        """What is stepped, in order."""
        return [each for each in (self.dsb, *self.tlbi, self.dsb, self.isb) if each is not None]

    @property
    def complete(self) -> bool:
        """Whether it is over when it has been stepped: a DSB waits for that, of all CPUs, and nothing else does."""
        return self.dsb is not None

    @property
    def wider(self) -> bool:
        """Whether more is invalidated than was asked for."""
        return any(loan.kind.extent is not scope.extent for loan, scope in zip(self.tlbi, self.scopes, strict=False))


def scopes_of(addresses: Sequence[VA] | None) -> Sequence[Scope]:
    """Return what has to be invalidated for these addresses; None is all there are."""
    if addresses is None or len(addresses) > ONE_BY_ONE:
        return (Scope(Extent.ALL),)
    return [Scope(Extent.ADDRESS, address) for address in addresses]


def plan(machine: Machine, scopes: Sequence[Scope]) -> Invalidation:
    """Find the guest's own instructions for it; raises `Refused` where it has none that this CPU may execute."""
    architecture, register = machine.architecture, machine.register
    wanted = [architecture.gadgets.invalidations(scope, register) for scope in scopes]
    barriers = architecture.gadgets.barriers()
    found = find(architecture, register, machine.memory.read, [*wanted, *barriers])
    tlbi = [loan for loan in found.loans[: len(scopes)] if loan is not None]
    if len(tlbi) < len(scopes):
        what, otherwise = "TLB invalidation for this", "reset the guest's TLB in another way"
        raise Refused(missing(what, found, architecture, register, machine.memory.read, otherwise))
    dsb, isb = found.loans[len(scopes) :]
    if dsb is None and is_reduced(architecture, register, machine.memory.read):
        what = "DSB, without which no TLB invalidation is complete,"
        raise Refused(missing(what, found, architecture, register, machine.memory.read, ""))
    lacking = [name for name, loan in (("DSB", dsb), ("ISB", isb)) if loan is None]
    # An invalidation of everything need not be done once for each address.
    once = tlbi[:1] if all(loan.kind.extent is Extent.ALL for loan in tlbi) else tlbi
    local = len(machine.cpus) > 1 and not all(loan.kind.broadcast for loan in once)
    return Invalidation(scopes, dsb, once, isb, lacking, local)


def perform(machine: Machine, live: Live, invalidation: Invalidation) -> None:
    """Step them on the current CPU, and put every register back."""
    run_gadget.run(machine, live, invalidation.loans)


def empty(machine: Machine, live: Live, reserved: Callable[[VA], bool]) -> Invalidation | None:
    """Empty the TLBs of all CPUs, from outside where that can be done (None), else by what the guest lends.

    Returns what was borrowed: nothing from addresses that are `reserved`.  Raises `Refused` where neither is possible.
    """
    try:
        live.empty_tlb()
    except Refused as refused:
        planned = _lent(machine, reserved, str(refused))
        perform(machine, live, planned)
        return planned
    return None


def _lent(machine: Machine, reserved: Callable[[VA], bool], why: str) -> Invalidation:
    """Plan what empties all TLBs by the guest's own instructions; `why` says why nothing else does."""
    try:
        planned = plan(machine, (Scope(Extent.ALL),))
    except Refused as refused:
        raise Refused(f"{why}; and {refused}") from None
    if planned.local:
        raise Refused(f"{why}; and the guest's own TLB invalidation does not reach the other CPUs")
    for loan in planned.loans:
        if reserved(loan.address):
            raise Refused(f"{why}; and the guest's own {loan.use.text} at {loan.address:#x} is in the range itself")
    return planned
