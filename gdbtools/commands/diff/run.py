"""`diff`: what changed between two sources, in mappings and registers, not in bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gdbtools.analysis.comparison.compared_attributes import Aspect
from gdbtools.analysis.comparison.difference import MappingChange, Uncompared, difference
from gdbtools.analysis.comparison.regime_difference import RegimePair, paired
from gdbtools.analysis.comparison.register_difference import Compared, compare_registers
from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch.capabilities import Architecture, DirtyConvention
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Hole, Regime, Run
from gdbtools.commands.arguments import IGNORABLE
from gdbtools.commands.model import RegisterChange
from gdbtools.commands.session import OfGuest, Session
from gdbtools.commands.spaces import CURRENT, KERNEL, Spaces, limit_text, size_of, spaces
from gdbtools.commands.what_if import with_registers_changed
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.model import Machine, with_dirty

REGISTERS = "registers"
"""What `--ignore` calls all differences of registers."""
MOST_RUNS, MOST_CHANGES = 50_000, 10_000
"""How many runs of each source are compared, and how many changes are listed."""


@dataclass(frozen=True)
class Looked:
    """One of the two sources: what it is called, and which CPU's registers were taken."""

    name: str
    cpu: int
    isolation: Isolation | None = None
    """Set where the space in force is a reduced one; `space` is the one that was compared."""
    space: str = CURRENT


@dataclass(frozen=True)
class Difference:
    """What differs between two sources, and how much was the same.

    `pairs` are the ranges of the regimes, `changes` and `uncompared` what became of their mappings; `leaves` counts the
    leaves after.  `page_bytes` is the granule.  `is_blind` says that there were tables to compare, and none of
    them could be read before, or after.
    """

    before: Looked
    after: Looked
    architecture: Architecture
    pairs: tuple[RegimePair, ...]
    registers: Compared
    changes: tuple[MappingChange, ...]
    uncompared: tuple[Uncompared, ...]
    leaves: int
    page_bytes: int
    ignored: tuple[str, ...]
    is_blind: bool = False
    left_out: int = 0
    """How many changes are not among them, because there are too many."""

    @property
    def is_different(self) -> bool:
        """Return whether anything differs; a table that neither source has is not a difference between them."""
        return bool(
            self.changes
            or self.registers.differing
            or any(pair.before is None or pair.after is None for pair in self.pairs)
            or (not self.is_blind and any(each.before is None or each.after is None for each in self.uncompared))
        )


@dataclass(frozen=True, kw_only=True)
class Options(OfGuest):
    """What may be asked of `diff`, as `declared` has it."""

    before: str | None = None
    after: str | None = None
    regime: str | None = None
    space: str | None = None
    ignore: Sequence[str] = ()
    before_registers: str | None = None
    after_registers: str | None = None
    before_with: Sequence[RegisterChange] = ()
    after_with: Sequence[RegisterChange] = ()


def sourceless(options: Options) -> bool:
    return options.after is not None


def run(session: Session, options: Options) -> Sequence[Difference]:
    before, after = _machines(session, options)
    if before.architecture.name != after.architecture.name:
        raise UsageError(
            f"{options.before or before.memory.description} is of {before.architecture.name}, "
            f"the other of {after.architecture.name}: "
            "compare two of one architecture"
        )
    architecture = after.architecture
    # Registers before memory: a live source switches modes between the two.
    names = () if REGISTERS in options.ignore else architecture.principal
    registers = compare_registers(architecture, before.register, after.register, names)
    sides = [spaces(machine, options.regime) for machine in (before, after)]
    asked = [side.fullest if options.space is None else side.chosen(options.space) for side in sides]
    before_space, after_space = (
        KERNEL if machine is not side.machine else CURRENT for machine, side in zip(asked, sides, strict=True)
    )
    pairs = paired(*(architecture.regimes(machine.register, options.regime) for machine in asked))
    ignored = [aspect for aspect in Aspect if aspect.value in options.ignore]
    changes: list[MappingChange] = []
    uncompared: list[Uncompared] = []
    leaves, page_bytes, compared, tried = 0, 1 << 64, False, False
    for pair in pairs:
        if pair.before is None or pair.after is None:
            continue
        hidden = [_hidden(side, regime) for side, regime in zip(sides, (pair.before, pair.after), strict=True)]
        if any(hidden) and not all(hidden) and options.space is None:
            uncompared.append(Uncompared(pair.before.first, size_of(pair.before), *hidden))
            continue
        was, now = (
            list(_at_most(MOST_RUNS, mappings_of(regime, machine.memory.read), regime))
            for regime, machine in ((pair.before, before), (pair.after, after))
        )
        tried |= bool(was or now)
        compared |= not any(_is_covered(side) for side in (was, now))
        changed, unknown = difference(was, now, ignored)
        changes += changed
        uncompared += unknown
        leaves += sum(0 if isinstance(each, Hole) else each.size_bytes // each.leaf_bytes for each in now)
        page_bytes = min([page_bytes, *(level.size_bytes for level in pair.after.levels)])
    found = Difference(
        Looked(_name(options.before, before, options.before_with), before.current, sides[0].isolation, before_space),
        Looked(_name(options.after, after, options.after_with), after.current, sides[1].isolation, after_space),
        architecture,
        pairs,
        registers,
        tuple(changes[:MOST_CHANGES]),
        tuple(uncompared),
        leaves,
        page_bytes,
        tuple(name for name in IGNORABLE if name in options.ignore),
        tried and not compared,
        max(len(changes) - MOST_CHANGES, 0),
    )
    if found.is_blind and not found.is_different:
        hole = next(each.after or each.before for each in uncompared)
        assert hole is not None, "what is not compared could not be read, before or after"
        raise Unavailable(f"nothing could be compared: the table at PA {hole.pa:#x}: {hole.why}")
    return (found,)


def _at_most(most: int, found: Iterator[Run | Hole], regime: Regime) -> Iterator[Run | Hole]:
    """Leave out what comes after so many runs, and say so: both sides are held as a whole."""
    for number, each in enumerate(found):
        if number == most and isinstance(each, Run):
            yield Hole(each.first, regime.last - each.first + 1, regime.root, f"it maps more than {most} runs")
            return
        yield each


def _is_covered(found: Sequence[Run | Hole]) -> bool:
    """Return whether nothing of a range could be read."""
    return bool(found) and all(isinstance(each, Hole) and each.refusal is None for each in found)


def _hidden(side: Spaces, regime: Regime) -> Hole | None:
    """Return a range that one cannot see into, as a hole: a reduced one whose full root is not proven."""
    found = side.isolation
    if found is None or found.full is not None or found.reduced.root != regime.root:
        return None
    return Hole(regime.first, size_of(regime), regime.root, limit_text(found))


def _machines(session: Session, options: Options) -> tuple[Machine, Machine]:
    """Open what is compared: two sources, or one with what the session works on."""
    if options.after is None and options.after_registers is not None:
        raise UsageError("--after-registers is for a second source; name it behind the first")
    if options.before is None:
        if options.before_registers is not None:
            raise UsageError("--before-registers is for an older source; name it first")
        if not (options.before_with or options.after_with):
            root, value = session.machine.architecture.identity.examples.root
            raise UsageError(
                "name an older source, or two roots of this one: "
                f"--before-with {root}={value} --after-with {root}=0x..."
            )
    before = session.machine if options.before is None else session.open(options.before, options.before_registers)
    after = session.machine if options.after is None else session.open(options.after, options.after_registers)
    before, after = (
        with_registers_changed(before, options.before_with),
        with_registers_changed(after, options.after_with),
    )
    return _alike(before, after), _alike(after, before)


def _name(source: str | None, machine: Machine, changes: Sequence[RegisterChange]) -> str:
    """Return what a side is called, with what was supposed of it."""
    name = source or ("the guest as it is now" if machine.live else machine.memory.description)
    supposed = [f"{each.register}{f'.{each.field}' if each.field else ''}={each.value:#x}" for each in changes]
    return " with ".join([name, *([", ".join(supposed)] if supposed else [])])


def _alike(machine: Machine, other: Machine) -> Machine:
    """Return a machine whose dirty leaves are told as the other's are, where nobody has stated how."""
    convention = other.architecture.dirty
    if machine.architecture.dirty is not DirtyConvention.NONE or convention is DirtyConvention.NONE:
        return machine
    return with_dirty(machine, convention, "as of the source that it is compared with")


def finding(answer: Difference) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return answer.is_different
