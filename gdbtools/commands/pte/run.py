"""`pte`: change fields of a descriptor in the live tables, in a way that is safe for what they are; or decode one.

Which of the two it is, is plain from the words: without FIELD=VALUE nothing is read and nothing is changed.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.gadgets import Need
from gdbtools.commands import maintenance
from gdbtools.commands.pte import bare_descriptor
from gdbtools.commands.pte.bare_descriptor import Bare
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.repair import descriptor
from gdbtools.repair.descriptor import DescriptorPlan
from gdbtools.repair.log import Repair, Way
from gdbtools.repair.tlb import Invalidation


@dataclass(frozen=True)
class Rewrite:
    """A plan, the way it is made, what of the guest's code that borrows, and whether it was done."""

    plan: DescriptorPlan
    way: Way
    invalidation: Invalidation | None
    applied: bool


def run(session: Session, options: Namespace) -> Sequence[Rewrite | Bare]:
    """Plan everything before anything is written, so that a refusal leaves the guest as it was."""
    machine = session.machine
    if not options.change:
        return (bare_descriptor.decode(machine.architecture, options),)
    for name in bare_descriptor.OF_VALUES:
        if getattr(options, name):
            raise UsageError(f"--{name} is of a value to decode, and this changes a descriptor; write pte VALUE")
    planned = descriptor.plan(machine, options.address, options.change, options.regime, options.level)
    way = maintenance.way_of(options)
    repair = Repair("pte", (planned.change,), way)
    if not options.dry_run:
        needing = [each for each in planned.fields if each.need is Need.BREAK]
        why = ", ".join(f"{each.name} ({each.why})" for each in needing)
        maintenance.check_way(planned.need, way, options, why)
    invalidation = descriptor.invalidation(machine, repair)
    if options.dry_run:
        return (Rewrite(planned, way, invalidation, False),)
    descriptor.make(machine, session.live, session.written, repair, invalidation)
    return (Rewrite(planned, way, invalidation, True),)
