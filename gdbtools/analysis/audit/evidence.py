"""What a finding shows: the entry at an address, and which of its fields decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from gdbtools.addresses import Input
from gdbtools.analysis.audit.findings import EntryShown, Finding, RootedRun, Rule
from gdbtools.arch.model import Attributes, Read, Step, Walk
from gdbtools.arch.walk import walk
from gdbtools.bits import Field, FieldValue

Holds = Callable[[Attributes], bool]
"""Return whether a mapping with these attributes is what the finding says."""


@dataclass
class Evidence:
    """Reads what findings show; which fields of a kind of leaf decide is found out once."""

    read: Read
    _deciding: dict[tuple[str, str, int], tuple[Field, ...]] = field(default_factory=dict)
    """By rule, by what of it, and by kind of leaf: those of one kind differ in their addresses alone."""

    def finding(
        self,
        rule: Rule,
        said: str,
        where: RootedRun,
        first: Input,
        size_bytes: int,
        evidence: tuple[str, ...] = (),
        holds: Holds | None = None,
        about: str = "",
    ) -> Finding:
        """Return a finding with the entry that translates `first`; the fields of it that decide, where `holds` asks.

        `about` tells what `holds` asks about, where a rule asks more than one thing.
        """
        found = walk(where.regime, first, self.read)
        found = found.kept or found
        leaf = found.leaf
        if leaf is None:
            return Finding(rule, said, where.range, first, size_bytes, evidence=evidence)
        fields: tuple[Field, ...] = ()
        if holds is not None:
            key = rule.name, about, id(where.run.kind)
            if key not in self._deciding:
                self._deciding[key] = tuple(_deciding(found, leaf, holds))
            fields = self._deciding[key]
        values = tuple(FieldValue(each, each.of(leaf.entry.word)) for each in fields)
        output = where.regime.output(first, leaf).address
        return Finding(rule, said, where.range, first, size_bytes, shown_entry(leaf, values), output, evidence)

    def also(self, where: RootedRun, address: Input) -> str:
        """Return in words which entry translates another address that leads to the same, and what that grants."""
        leaf = walk(where.regime, address, self.read).leaf
        run, label = where.run, where.regime.input_label
        rights = ", ".join(f"{level.label} {may}" for level, may in sorted(run.attributes.rights.items(), reverse=True))
        said = f"{label} {address:#x} leads there, too: {rights}, {run.attributes.memory}"
        if leaf is None:
            return said
        return f"{said}, by the level {leaf.level.number} descriptor {leaf.entry.word.padded} at PA {leaf.pa:#x}"


def shown_entry(step: Step, deciding: tuple[FieldValue, ...] = ()) -> EntryShown:
    return EntryShown(step.pa, step.level.number, step.entry.word, deciding)


def _deciding(found: Walk, leaf: Step, holds: Holds) -> Iterator[Field]:
    """Yield the fields of a leaf of which a bit, if it were otherwise, would make something not hold."""
    for value in leaf.entry.word.decoded():
        if (
            value.applicable
            and value.field.scale == 1
            and any(not holds(attributes) for attributes in _otherwise(found, leaf, value.field))
        ):
            yield value.field


def _otherwise(found: Walk, leaf: Step, changed: Field) -> Iterator[Attributes]:
    """Yield what the path would grant with each bit of a field inverted, as far as the entry is then a leaf still."""
    regime = found.regime
    for high, low in changed.spans:
        for bit in range(low, high + 1):
            raw = (int(leaf.entry.word) ^ 1 << bit).to_bytes(regime.entry_bytes, regime.byte_order)
            entry = regime.decode(raw, leaf.level)
            if entry.kind.is_leaf:
                attributes = regime.attributes((*found.steps[:-1], replace(leaf, entry=entry)), found.final)
                if attributes is not None:
                    yield attributes
