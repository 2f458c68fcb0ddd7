"""`audit`: everything that is mapped, held against rules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from gdbtools.analysis.audit import general, paravirtual
from gdbtools.analysis.audit.findings import Checked, Finding, RootedRun, Rule
from gdbtools.analysis.audit.linear_map import LinearMap, LinearPiece, linear_map
from gdbtools.analysis.audit.paravirtual import ReadOnlyPages
from gdbtools.analysis.mappings import CountedRead, mappings_of
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Hole
from gdbtools.commands.guest_frames import guest_of
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import KERNEL, Spaces, all_ranges, spaces
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.model import Machine
from gdbtools.systems.guest_frames import GuestFrames


@dataclass(frozen=True)
class Audit:
    """What was asked, of what, and what was found.

    `roots`, `tables` and `leaves` are how many were looked at.  `read_only` are the parts of the linear map that ought
    to be, `pages` whether they are listed.  `isolation` is set where the space in force is a reduced one.
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
    isolation: Isolation | None = None

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
    return (_other(machine, options),)


def _wanted(rules: Sequence[Rule], options: Options, instead: str) -> Sequence[Rule]:
    """Return those of the rules that were asked for; raise `UsageError` for one that is not of what is here."""
    names = [each.name for each in rules]
    for name in options.rule:
        if name not in names:
            raise UsageError(f"--rule {name} is {instead}; leave it out")
    return [each for each in rules if not options.rule or each.name in options.rule]


def _paravirtual(machine: Machine, guest: GuestFrames, options: Options) -> Audit:
    rules = _wanted(paravirtual.RULES, options, "not asked of a paravirtual guest: `map --perm wx` lists what it finds")
    found = paravirtual.survey(machine.architecture, machine.register, machine.memory.read, guest)
    checked = tuple(paravirtual.check(each, found) for each in rules)
    linear, read_only = paravirtual.linear_map_of(found)
    looked = found.looked
    counts = (found.roots, len(looked.tables), looked.leaves)
    return Audit(guest, checked, linear, tuple(read_only), *counts, tuple(looked.holes), options.pages)


def _other(machine: Machine, options: Options) -> Audit:
    """Hold what is mapped against the rules of every system, the kernel's space where that in force is reduced."""
    rules = _wanted(general.RULES, options, "of paravirtual guests, and there is none here")
    read = CountedRead(machine.memory.read)
    here = spaces(machine)
    found: list[RootedRun] = []
    holes: list[Hole] = []
    roots: set[int] = set()
    for space, _, regime in all_ranges(here, None, None):
        if not regime.levels:
            continue
        registers = here.isolation.registers if space == KERNEL and here.isolation is not None else {}
        roots.add(regime.root)
        for each in mappings_of(regime, read):
            if isinstance(each, Hole):
                holes.append(each)
            elif each.output is not None:
                found.append(RootedRun(each, regime, registers))
    if not found:
        raise Unavailable(_unchecked(holes, roots))
    checked = tuple(general.check(each, found) for each in rules)
    leaves = sum(each.run.leaves for each in found)
    linear = linear_map(_pieces(machine, here, found))
    counts = (len(roots), len(read.tables), leaves)
    isolation = here.isolation
    return Audit(None, checked, linear, (), *counts, tuple(holes), options.pages, isolation)


def _unchecked(holes: Sequence[Hole], roots: Collection[int]) -> str:
    """Return why there is nothing to hold against a rule: that is no pass."""
    if not roots:
        return "nothing was checked: the MMU is off, so no table says who may do what; `status` shows the state"
    if holes:
        return f"nothing was checked: the table at PA {holes[0].pa:#x} cannot be read: {holes[0].why}"
    return "nothing was checked: the tables in force map nothing; `find-roots` searches memory for others"


def _pieces(machine: Machine, here: Spaces, found: Sequence[RootedRun]) -> Iterator[LinearPiece]:
    """Yield what the linear map is looked for in: a reduced space has none."""
    supervisor = machine.architecture.privileges[-1]
    for each in found:
        run = each.run
        if run.output is None or not run.stride_bytes or (here.isolation and each.regime == here.isolation.reduced):
            continue
        rights = run.attributes.rights
        yield LinearPiece(run.first, run.size_bytes, run.output, rights.get(supervisor) or rights[max(rights)])


def finding(answer: Audit) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return bool(answer.findings)
