"""TLB maintenance by the guest's own instructions: invalidations, and the barriers around them that belong to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gdbtools.addresses import VA
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.gadgets import Extent, MaintenanceBarrier, Scope
from gdbtools.arch.model import ReadRegister
from gdbtools.errors import Refused, Unavailable, UsageError
from gdbtools.machine.model import Live, Machine
from gdbtools.repair import run_gadget
from gdbtools.repair.find_gadget import Loan, find, is_reduced, missing

ONE_BY_ONE = 16
"""Up to how many addresses are invalidated one by one, and not all of the regime instead."""


@dataclass(frozen=True)
class Invalidation:
    """Instructions of the guest's to be stepped in order.

    `name` is the architecture's for an invalidation.  `barriers` are those that belong to it, each with what the guest
    lends for it, None where it has none.  `local` says that there are other CPUs whose TLBs it does not reach.
    """

    name: str
    scopes: Sequence[Scope]
    invalidations: Sequence[Loan]
    barriers: Sequence[tuple[MaintenanceBarrier, Loan | None]]
    local: bool
    identifier: str = "ASID"
    """What the architecture calls an address space's identifier."""

    @property
    def before(self) -> Sequence[Loan]:
        """The barriers that are stepped first."""
        return [loan for barrier, loan in self.barriers if barrier.before and loan is not None]

    @property
    def after(self) -> Sequence[Loan]:
        """The barriers that are stepped behind the invalidations, or behind a store to a descriptor."""
        return [loan for barrier, loan in self.barriers if barrier.after and loan is not None]

    @property
    def loans(self) -> Sequence[Loan]:
        """What is stepped, in order."""
        return [*self.before, *self.invalidations, *self.after]

    @property
    def lacking(self) -> Sequence[str]:
        """The names of the barriers that the guest has not."""
        return [barrier.name for barrier, loan in self.barriers if loan is None]

    @property
    def unfinished(self) -> str:
        """The name of a barrier without which nothing says that it is complete, where the guest has it not."""
        lacking = (barrier.name for barrier, loan in self.barriers if loan is None and barrier.completes)
        return next(lacking, "")

    @property
    def complete(self) -> bool:
        """Whether it is over, on all CPUs that it reaches, when it has been stepped."""
        return not self.unfinished

    @property
    def wider(self) -> bool:
        """Whether more is invalidated than was asked for."""
        pairs = zip(self.invalidations, self.scopes, strict=False)
        return any(loan.kind.extent is not scope.extent for loan, scope in pairs)


def scopes_of(addresses: Sequence[VA] | None) -> Sequence[Scope]:
    """Return what has to be invalidated for these addresses; None is all there are."""
    if addresses is None or len(addresses) > ONE_BY_ONE:
        return (Scope(Extent.ALL),)
    return [Scope(Extent.ADDRESS, address) for address in addresses]


def own_regime(machine: Machine) -> str:
    """Return the name of the regime that the CPU is in, which is what its invalidations are about."""
    architecture, register = machine.architecture, machine.register
    return architecture.exceptions.regime_of(register, architecture.privilege(register))


def lent_here(machine: Machine) -> bool:
    """Return whether the CPU may invalidate at all where it stands; yes where nothing says that it may not."""
    architecture = machine.architecture
    try:
        architecture.gadgets.invalidations(Scope(Extent.ALL), machine.register)
    except Refused:
        return False
    except Unavailable:
        return True
    return True


def enough_here(machine: Machine) -> bool:
    """Return whether what the CPU may invalidate where it stands reaches every CPU that the guest has."""
    if not lent_here(machine):
        return False
    if len(machine.cpus) == 1:
        return True
    try:
        kinds = machine.architecture.gadgets.invalidations(Scope(Extent.ALL), machine.register)
    except Unavailable:
        return True
    return any(each.broadcast for each in kinds)


def plan(machine: Machine, scopes: Sequence[Scope], regime: str | None = None) -> Invalidation:
    """Find the guest's own instructions for it; raises `Refused` where it has none that this CPU may execute.

    `regime` names the one whose tables changed (None: the CPU's): an address of another, or an IPA, would be taken for
    one of the CPU's own.
    """
    architecture, register = machine.architecture, machine.register
    gadgets, other = architecture.gadgets, None
    if regime is not None and regime != (own := own_regime(machine)):
        other = regime
    if other is not None and not gadgets.reaches(register, other):
        word = architecture.gadgets.words.invalidation
        raise Refused(
            f"the guest's own {word} would be about {own} at this stop, and these tables are {regime}'s; write them "
            f"without it, and have whoever they belong to invalidate"
        )
    _check_spaces(architecture, register, scopes, other)
    wanted = [gadgets.invalidations(scope, register, other) for scope in scopes]
    needed = architecture.gadgets.barriers()
    found = find(architecture, register, machine.memory.read, [*wanted, *(each.kinds for each in needed)])
    lent = [loan for loan in found.loans[: len(scopes)] if loan is not None]
    if len(lent) < len(scopes):
        what, otherwise = "TLB invalidation for this", "reset the guest's TLB in another way"
        raise Refused(missing(what, found, architecture, register, machine.memory.read, otherwise))
    # An invalidation of everything need not be done once for each address.
    once = lent[:1] if all(loan.kind.extent is Extent.ALL for loan in lent) else lent
    local = len(machine.cpus) > 1 and not all(loan.kind.broadcast for loan in once)
    barriers = [*zip(needed, found.loans[len(scopes) :], strict=True)]
    # Of another regime it is another instruction.
    name = architecture.gadgets.words.invalidation if other is None else once[0].use.text.split()[0]
    planned = Invalidation(name, scopes, once, barriers, local, gadgets.words.identifier)
    if planned.unfinished and is_reduced(architecture, register, machine.memory.read):
        what = f"{planned.unfinished}, without which no TLB invalidation is complete,"
        raise Refused(missing(what, found, architecture, register, machine.memory.read, ""))
    return planned


def _check_spaces(
    architecture: Architecture, register: ReadRegister, scopes: Sequence[Scope], regime: str | None
) -> None:
    """Raise `UsageError` for an address space whose identifier has more bits than this CPU compares."""
    for scope in scopes:
        if scope.extent is not Extent.ADDRESS_SPACE:
            continue
        bits = architecture.gadgets.address_space_bits(register, regime)
        # Without any, whoever is asked for the instruction says why there is none.
        if bits and scope.value >> bits:
            there = f"they have {bits} bits here, 0 to {(1 << bits) - 1}"
            raise UsageError(f"{scope.value} is no identifier of an address space; {there}")


def perform(machine: Machine, live: Live, invalidation: Invalidation) -> None:
    """Step them on the current CPU, and put every register back."""
    run_gadget.run(machine, live, invalidation.loans)


def empty(
    machine: Machine, live: Live, reserved: Callable[[VA], bool], regime: str | None = None
) -> Invalidation | None:
    """Empty the TLBs of all CPUs, from outside where that can be done (None), else by what the guest lends.

    `regime` names the one whose tables changed, None for the CPU's.  Returns what was borrowed: nothing from addresses
    that are `reserved`.  Raises `Refused` where neither is possible.
    """
    try:
        live.empty_tlb()
    except Refused as refused:
        planned = _lent(machine, reserved, str(refused), regime)
        perform(machine, live, planned)
        return planned
    return None


def _lent(machine: Machine, reserved: Callable[[VA], bool], why: str, regime: str | None) -> Invalidation:
    """Plan what empties all TLBs by the guest's own instructions; `why` says why nothing else does."""
    try:
        planned = plan(machine, (Scope(Extent.ALL),), regime)
    except Refused as refused:
        raise Refused(f"{why}; and {refused}") from None
    if planned.local:
        raise Refused(f"{why}; and the guest's own TLB invalidation does not reach the other CPUs")
    for loan in planned.loans:
        if reserved(loan.address):
            raise Refused(f"{why}; and the guest's own {loan.use.text} at {loan.address:#x} is in the range itself")
    return planned
