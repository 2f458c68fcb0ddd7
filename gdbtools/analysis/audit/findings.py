"""What an audit finds: a rule that is broken somewhere, and the evidence."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from gdbtools.addresses import PA, Input, Output
from gdbtools.arch.model import Regime, Run


class Severity(enum.Enum):
    """How bad it is that a rule is broken."""

    ERROR = enum.auto()
    """The system's own protection does not hold."""
    WARNING = enum.auto()
    """Something that systems take for granted does not hold."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What has to hold; `summary` says it in a sentence, `of` what it is asked of."""

    name: str
    severity: Severity
    summary: str
    of: str


@dataclass(frozen=True, slots=True)
class RootedRun:
    """A run, the range that it is of, and the registers that lead to its root where that is not in force."""

    run: Run
    regime: Regime
    registers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """A place where a rule is broken.

    `first` and `size_bytes` are the input addresses, `root` the table that they are translated by, and `registers` what
    leads to that; `descriptor_pa` is where the entry of the first is, and `output` where that leads.  `said` tells in
    words what is broken, `evidence` what shows it.
    """

    rule: Rule
    said: str
    first: Input
    size_bytes: int
    root: Output
    descriptor_pa: PA | None
    output: Output | None
    evidence: tuple[str, ...]
    registers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Checked:
    """A rule, what it was asked of, and what breaks it; `explained` is what looks like it and is not, in words."""

    rule: Rule
    examined: int
    findings: tuple[Finding, ...]
    explained: tuple[str, ...] = ()
