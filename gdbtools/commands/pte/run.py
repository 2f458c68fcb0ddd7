"""`pte`: change fields of a descriptor in the live tables, in a way that is safe for what they are; or decode one.

Which of the two it is, is plain from the words: without FIELD=VALUE nothing is read and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import Input
from gdbtools.arch.gadgets import Need
from gdbtools.commands import maintenance
from gdbtools.commands.pte import bare_descriptor
from gdbtools.commands.pte.bare_descriptor import Bare
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.machine.model import Machine
from gdbtools.repair import descriptor
from gdbtools.repair.descriptor import DescriptorPlan
from gdbtools.repair.log import Repair, Way
from gdbtools.repair.tlb import Invalidation, enough_here, own_regime


@dataclass(frozen=True)
class Rewrite:
    """A plan, the way it is made, what of the guest's code that borrows, and whether it was done."""

    plan: DescriptorPlan
    way: Way
    invalidation: Invalidation | None
    applied: bool
    invalidation_name: str
    """What an invalidation is called here, whether one is borrowed or not."""
    lent_here: bool | None
    """Whether one that the CPU executes where it stands is enough; None without a guest."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `pte`, as `declared` has it."""

    address: Input
    change: Sequence[tuple[str, int]] = ()
    level: int | None = None
    granule: str | None = None
    bits: str | None = None
    stage: str | None = None
    tlbi: bool = False
    break_: bool = False
    live: bool = False
    dry_run: bool = False
    regime: str | None = None


def _decoded(machine: Machine, options: Options) -> Bare:
    of_changes = {
        "tlbi": options.tlbi, "break": options.break_, "live": options.live, "dry-run": options.dry_run,
    }  # fmt: skip
    for name, given in of_changes.items():
        if given:
            raise UsageError(f"--{name} is of a change, and nothing is to change; write pte ADDRESS FIELD=VALUE")
    asked = bare_descriptor.Asked(options.granule, options.bits, options.stage, options.regime, options.level)
    return bare_descriptor.decode(machine, options.address, asked)


def sourceless(options: Options) -> bool:
    return not options.change


def run(session: Session, options: Options) -> Sequence[Rewrite | Bare]:
    """Plan everything before anything is written, so that a refusal leaves the guest as it was."""
    machine = session.machine
    if not options.change:
        return (_decoded(machine, options),)
    for name, given in (("granule", options.granule), ("bits", options.bits), ("stage", options.stage)):
        if given:
            raise UsageError(f"--{name} is of a value to decode, and this changes a descriptor; write pte VALUE")
    planned = descriptor.plan(machine, options.address, options.change, options.regime, options.level)
    way = maintenance.way_of(options.break_, options.live, options.tlbi)
    regime = None if way is Way.WRITE else options.regime or own_regime(machine)
    repair = Repair("pte", (planned.change,), way, regime)
    if not options.dry_run:
        needing = [each for each in planned.fields if each.need is Need.BREAK]
        why = ", ".join(f"{each.name} ({each.why})" for each in needing)
        maintenance.check_way(planned.need, way, options.live, why)
    invalidation = descriptor.invalidation(machine, repair)
    architecture = machine.architecture
    has_gadgets = architecture.has("gadgets")
    name = architecture.gadgets.words.invalidation if has_gadgets else "TLB invalidation"
    here = None if machine.live is None else enough_here(machine) if has_gadgets else True
    if options.dry_run:
        return (Rewrite(planned, way, invalidation, False, name, here),)
    descriptor.make(machine, session.live, session.written, repair, invalidation)
    return (Rewrite(planned, way, invalidation, True, name, here),)
