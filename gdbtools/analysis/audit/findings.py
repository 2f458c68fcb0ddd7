"""What an audit finds: a rule that is broken somewhere, and the evidence."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from gdbtools.addresses import PA, Input, Output, moved
from gdbtools.arch.model import Regime, Run
from gdbtools.bits import FieldValue, Word

ADDRESSES = (1 << 64) - 1
"""The bits of an address."""


class Severity(enum.Enum):
    """How bad it is that a rule is broken."""

    ERROR = enum.auto()
    """The system's own protection does not hold."""
    WARNING = enum.auto()
    """Something that systems take for granted does not hold."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What has to hold; `summary` says it in a sentence, `of` what it is asked of, `source` who wants it."""

    name: str
    severity: Severity
    summary: str
    of: str
    source: str


@dataclass(frozen=True)
class AuditedRange:
    """A range that is looked through, or a second stage by itself.

    `cpus` are those that use it or have it loaded; `registers` and `regime_name` are what a question needs to be put to
    it, where it is not the one in force.  `reduced` says that it is the part of a kernel that a process has.  Of a
    guest's second stage `guest` is its number, as `guests` lists them, and `guest_name` what its hypervisor calls it.
    """

    regime: Regime
    cpus: tuple[int, ...] = ()
    registers: Mapping[str, int] = field(default_factory=dict)
    regime_name: str = ""
    reduced: bool = False
    guest: int | None = None
    guest_name: str = ""

    @property
    def is_second(self) -> bool:
        return self.regime.stage == 2

    @property
    def is_kept(self) -> bool:
        """Return whether no CPU has it, and only the hypervisor of its guest tells of it."""
        return self.guest is not None and not self.cpus

    @property
    def whose(self) -> str:
        """Return what the guest is called whose second stage this is."""
        if self.guest is None:
            return f"the guest of the root at PA {self.regime.root:#x}"
        return f"guest {self.guest}{f' ({self.guest_name})' if self.guest_name else ''}"


@dataclass(frozen=True, slots=True)
class RootedRun:
    """A run, and the range that it is of."""

    run: Run
    range: AuditedRange

    @property
    def regime(self) -> Regime:
        return self.range.regime

    def address_of(self, pa: int) -> Input:
        """Return the first input address of the run that leads to a physical one in its reach."""
        assert self.run.output is not None, "it leads somewhere"
        return moved(self.run.first, pa - self.run.output)

    @property
    def distance(self) -> int:
        """How far it leads back, by the first stage alone where there are two: the same all over a linear map."""
        led = self.run.output if self.run.ipa is None else self.run.ipa
        assert led is not None, "it leads somewhere"
        return self.run.first - led & ADDRESSES

    @property
    def reach(self) -> tuple[int, int]:
        """The physical addresses that it leads to: the first, and the first after them."""
        run = self.run
        assert run.output is not None, "it leads somewhere"
        return run.output, run.output + (run.size_bytes if run.stride_bytes else run.leaf_bytes)


@dataclass(frozen=True, slots=True)
class EntryShown:
    """The entry that a finding is about: where it is, what it says, and the fields of it that decide.

    `deciding` is empty where no field of this entry alone does.
    """

    pa: PA
    level: int
    word: Word
    deciding: tuple[FieldValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A place where a rule is broken.

    `first` and `size_bytes` are the input addresses, `range` what they are translated by, None where the finding is of
    no address; `entry` is that of the first, None where the finding is of no entry, and `output` is where it leads.
    `said` tells in words what is broken, `evidence` what else shows it.
    """

    rule: Rule
    said: str
    range: AuditedRange | None
    first: Input
    size_bytes: int
    entry: EntryShown | None = None
    output: Output | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """A rule, what it was asked of, and what breaks it.

    `explained` is what looks like it and is not, in words; `unasked` says why the rule could not be asked, empty where
    it was.
    """

    rule: Rule
    examined: int
    findings: tuple[Finding, ...]
    explained: tuple[str, ...] = ()
    unasked: str = ""
