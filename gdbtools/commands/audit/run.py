"""`audit`: everything that is mapped, held against rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from gdbtools.analysis.audit import general, paravirtual
from gdbtools.analysis.audit.findings import Checked, Finding, Rule
from gdbtools.analysis.audit.linear_map import LinearMap
from gdbtools.analysis.audit.paravirtual import ReadOnlyPages
from gdbtools.analysis.audit.rules import RULES
from gdbtools.analysis.audit.surveyed import Surveyed, survey_ranges
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Hole
from gdbtools.commands.audit import baseline
from gdbtools.commands.audit.baseline import Baseline, KnownFinding, WrittenBaseline, known_of
from gdbtools.commands.audit.ranges import audited_ranges, kernel_distances
from gdbtools.commands.guest_frames import guest_of
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import spaces
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.dumps.extents import map_of
from gdbtools.machine.layers import Recording
from gdbtools.machine.model import Machine
from gdbtools.systems.guest_frames import GuestFrames


@dataclass(frozen=True)
class Audit:
    """What was asked, of what, and what was found.

    `roots`, `tables` and `leaves` are how many were looked at.  `read_only` are the parts of the linear map that ought
    to be, `pages` whether they are listed, `counts` whether it is shown of how much each rule was asked.  `isolation`
    is set where the space in force is a reduced one.  `baseline` has what was known before, None where there is none,
    `written` is the one that was made of this; `sources` are the names of the files that were read, `source_words`
    those that have another command asked of the same.
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
    counts: bool = False
    baseline: Baseline | None = None
    written: WrittenBaseline | None = None
    sources: tuple[str, ...] = ()
    source_words: Sequence[str] | None = None

    @property
    def asked(self) -> Sequence[str]:
        """The rules that could be asked."""
        return [each.rule.name for each in self.checked if not each.unasked]

    @property
    def all_findings(self) -> Sequence[Finding]:
        return [each for checked in self.checked for each in checked.findings]

    @property
    def findings(self) -> Sequence[Finding]:
        """Those that the baseline does not have."""
        return self.new(self.all_findings)

    @property
    def known(self) -> Sequence[Finding]:
        """Those that it has."""
        new = set(map(id, self.findings))
        return [each for each in self.all_findings if id(each) not in new]

    def new(self, found: Iterable[Finding]) -> Sequence[Finding]:
        known = {each.key for each in self._known_before}
        return [each for each in found if known_of(each).key not in known]

    @property
    def stale(self) -> Sequence[KnownFinding]:
        """What the baseline has of the rules that were asked, and nothing is found of any more."""
        found = {known_of(each).key for each in self.all_findings}
        return [each for each in self._known_before if each.rule in self.asked and each.key not in found]

    @property
    def unknown_before(self) -> Sequence[str]:
        """The rules that were asked, and not when the baseline was written: all that they find is new."""
        if self.baseline is None or self.baseline.rules is None:
            return ()
        return [name for name in self.asked if name not in self.baseline.rules]

    @property
    def _known_before(self) -> Sequence[KnownFinding]:
        return () if self.baseline is None else self.baseline.findings


@dataclass(frozen=True)
class RuleList:
    """Every rule that there is."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `audit`, as `declared` has it."""

    rule: Sequence[str] = ()
    ignore: Sequence[str] = ()
    baseline: str | None = None
    write_baseline: str | None = None
    rules: bool = False
    counts: bool = False
    roots: bool = False
    pages: bool = False
    format: str | None = None


def sourceless(options: Options) -> bool:
    return options.rules


def run(session: Session, options: Options) -> Sequence[Audit | RuleList]:
    if options.rules:
        return (RuleList(RULES),)
    known = None if options.baseline is None else baseline.read(options.baseline)
    earlier = None if options.write_baseline is None else baseline.replaced(options.write_baseline)
    machine = session.machine
    guest = guest_of(machine)
    found = _other(machine, options) if guest is None else _paravirtual(machine, guest, options)
    if not found.asked:
        why = "; ".join(f"{each.rule.name}: {each.unasked}" for each in found.checked)
        raise Unavailable(f"nothing was checked: {why}; `audit` without --rule and --ignore asks every rule")
    found = replace(found, baseline=known, sources=machine.files, source_words=session.source_words)
    found = replace(found, counts=options.counts)
    if options.write_baseline is not None and earlier is not None:
        session.make_sure()
        written = baseline.write(options.write_baseline, earlier, found.asked, found.all_findings)
        found = replace(found, written=written)
    return (found,)


def _wanted(rules: Collection[Rule], options: Options, instead: str) -> Sequence[Rule]:
    """Return those of the rules that were asked for; raise `UsageError` for one that is not of what is here."""
    names = [each.name for each in rules]
    for name in options.rule:
        if name not in names:
            raise UsageError(f"--rule {name} is {instead}; leave it out")
    asked = [each for each in rules if not options.rule or each.name in options.rule]
    left = [each for each in asked if each.name not in options.ignore]
    if not left:
        raise UsageError("--ignore leaves no rule to ask; leave one of them out")
    return left


def _paravirtual(machine: Machine, guest: GuestFrames, options: Options) -> Audit:
    instead = "not asked of a paravirtual guest: `map --perm wx` lists what it finds"
    rules = _wanted(paravirtual.CHECKS, options, instead)
    found = paravirtual.survey(machine.architecture, machine.register, machine.memory.read, guest)
    checked = tuple(paravirtual.CHECKS[each](found) for each in rules)
    linear, read_only = paravirtual.linear_map_of(found)
    looked = found.looked
    counts = (found.roots, len(looked.tables), looked.leaves)
    return Audit(guest, checked, linear, tuple(read_only), *counts, tuple(looked.holes), options.pages)


def _other(machine: Machine, options: Options) -> Audit:
    """Hold what is mapped against the rules of every system, the kernel's space where that in force is reduced."""
    rules = _wanted(general.CHECKS, options, "of paravirtual guests, and there is none here")
    read = Recording(machine.memory).read
    here = spaces(machine)
    places = map_of(machine.memory)
    memory = None if places is None else sorted((pa, pa + size_bytes) for pa, size_bytes in places)
    ranges = audited_ranges(machine, options.roots)
    found = survey_ranges(machine.architecture, read, ranges, memory, kernel_distances(here))
    if not found.mapped and not found.second:
        raise Unavailable(_unchecked(found))
    checked = tuple(general.CHECKS[each](found) for each in rules)
    counts = (len({each.regime.root for each in ranges}), found.table_count, found.leaves)
    return Audit(None, checked, found.linear, (), *counts, tuple(found.holes), options.pages, here.isolation)


def _unchecked(found: Surveyed) -> str:
    """Return why there is nothing to hold against a rule: that is no pass."""
    if not found.ranges:
        return "nothing was checked: the MMU is off, so no table says who may do what; `status` shows the state"
    if found.holes:
        return f"nothing was checked: the table at PA {found.holes[0].pa:#x} cannot be read: {found.holes[0].why}"
    return "nothing was checked: the tables in force map nothing; `find-roots` searches memory for others"


def finding(answer: Audit | RuleList) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return isinstance(answer, Audit) and bool(answer.findings)
