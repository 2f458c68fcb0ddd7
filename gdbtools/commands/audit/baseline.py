"""A baseline: findings that are known, so that only what is new is told, and what of it is no longer found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gdbtools.analysis.audit.findings import Finding
from gdbtools.commands.files import write_whole
from gdbtools.errors import Unavailable, UsageError
from gdbtools.render.json import hexadecimal

SCHEMA: Final = "gdbtools-audit-baseline/1"


@dataclass(frozen=True, slots=True)
class KnownFinding:
    """What is known of a finding: its rule, and the input addresses that it is of; `said` is for who reads the file."""

    rule: str
    space: str
    first: int
    size_bytes: int
    said: str

    @property
    def key(self) -> tuple[str, str, int, int]:
        return self.rule, self.space, self.first, self.size_bytes


def known_of(found: Finding) -> KnownFinding:
    """Return how a finding stands in a baseline: by its place, not by what boots may change."""
    space = "" if found.range is None else found.range.regime.own_name
    return KnownFinding(found.rule.name, space, found.first, found.size_bytes, found.said)


def read(name: str) -> Sequence[KnownFinding]:
    """Return what a baseline has; raise `Unavailable` where it cannot be read, `UsageError` where it is none."""
    path = Path(name).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Unavailable(f"{name}: {why}; --write-baseline writes one") from None
    try:
        found = json.loads(text)
        if found["schema"] != SCHEMA:
            raise KeyError(SCHEMA)
        return [
            KnownFinding(each["rule"], each["space"], int(each["first"], 16), int(each["size"]), each["said"])
            for each in found["findings"]
        ]
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{name} is no baseline; write one with --write-baseline {name}") from None


def write(name: str, found: Iterable[Finding]) -> None:
    """Write a baseline that has these findings."""
    entries = [
        {"rule": each.rule, "space": each.space, "first": hexadecimal(each.first), "size": each.size_bytes,
         "said": each.said}
        for each in map(known_of, found)
    ]  # fmt: skip
    text = json.dumps({"schema": SCHEMA, "findings": entries}, indent=2)
    write_whole(Path(name).expanduser(), f"{text}\n".encode())
