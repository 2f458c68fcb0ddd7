"""`audit`: everything that is mapped, held against rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from gdbtools.analysis.audit import paravirtual
from gdbtools.analysis.audit.findings import Checked, Finding
from gdbtools.analysis.audit.linear_map import LinearMap, LinearPiece, linear_map
from gdbtools.analysis.audit.paravirtual import ReadOnlyPages
from gdbtools.analysis.audit.spaces import Gathered
from gdbtools.arch.model import Hole, Run
from gdbtools.commands.guest_frames import guest_of
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.machine.model import Machine
from gdbtools.systems.guest_frames import GuestFrames

MOST_RUNS = 100_000
"""How many runs are looked at for the linear map of a system that is not known: tables of no system have no end."""


@dataclass(frozen=True)
class Audit:
    """What was asked, of what, and what was found.

    `roots`, `tables` and `leaves` are how many were looked at.  `read_only` are the parts of the linear map that ought
    to be, `pages` whether they are listed.
    """

    guest: GuestFrames | None
    checked: tuple[Checked, ...]
    linear: LinearMap | None
    read_only: tuple[ReadOnlyPages, ...]
    roots: int
    tables: int
    leaves: int
    unreadable: tuple[Hole, ...]
    pages: bool

    @property
    def findings(self) -> Sequence[Finding]:
        return [each for checked in self.checked for each in checked.findings]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `audit`, as `declared` has it."""

    rule: Sequence[str] = ()
    pages: bool = False


def run(session: Session, options: Options) -> Sequence[Audit]:
    machine = session.machine
    guest = guest_of(machine)
    if guest is not None:
        return (_paravirtual(machine, guest, options),)
    if options.rule:
        raise UsageError(f"--rule {options.rule[0]} is of paravirtual guests, and there is none here; leave it out")
    return (_other(machine, options),)


def _paravirtual(machine: Machine, guest: GuestFrames, options: Options) -> Audit:
    found = paravirtual.survey(machine.architecture, machine.register, machine.memory.read, guest)
    rules = [each for each in paravirtual.RULES if not options.rule or each.name in options.rule]
    checked = tuple(paravirtual.check(each, found) for each in rules)
    linear, read_only = paravirtual.linear_map_of(found)
    looked = found.looked
    counts = (found.roots, len(looked.tables), looked.leaves)
    return Audit(guest, checked, linear, tuple(read_only), *counts, tuple(looked.holes), options.pages)


def _other(machine: Machine, options: Options) -> Audit:
    """Look for the linear map of a system that no rule is known of."""
    looked = Gathered(machine.memory.read)
    regimes = machine.architecture.regimes(machine.register)
    linear = linear_map(islice(_pieces(looked, machine), MOST_RUNS))
    tables = len(looked.tables)
    return Audit(None, (), linear, (), len(regimes), tables, looked.leaves, tuple(looked.holes), options.pages)


def _pieces(looked: Gathered, machine: Machine) -> Iterator[LinearPiece]:
    supervisor = machine.architecture.privileges[-1]
    for regime in machine.architecture.regimes(machine.register):
        for each in looked.runs(regime, [(regime.first, regime.last)]):
            if isinstance(each, Run) and each.output is not None and each.stride_bytes:
                rights = each.attributes.rights
                yield LinearPiece(
                    each.first, each.size_bytes, each.output, rights.get(supervisor) or rights[max(rights)]
                )


def finding(answer: Audit) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return bool(answer.findings)
