"""A baseline: findings that are known, so that only what is new is told, and what of it is no longer found."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gdbtools.analysis.audit.findings import Finding
from gdbtools.commands.arguments import AUDITED
from gdbtools.commands.files import write_whole
from gdbtools.errors import Refused, Unavailable, UsageError
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


@dataclass(frozen=True, slots=True)
class Baseline:
    """The findings that are known, and the rules that were asked for them; None where the file does not say which."""

    findings: tuple[KnownFinding, ...]
    rules: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class WrittenBaseline:
    """A baseline that was written: how many findings it has, and how many of those another audit had found."""

    name: str
    count: int
    kept: int


def known_of(found: Finding) -> KnownFinding:
    """Return how a finding stands in a baseline: by its place, not by what boots may change."""
    space = "" if found.range is None else found.range.regime.own_name
    return KnownFinding(found.rule.name, space, found.first, found.size_bytes, found.said)


def read(name: str) -> Baseline:
    """Return what a baseline has; raise `Unavailable` where it cannot be read, `UsageError` where it is none."""
    try:
        return _parsed(Path(name).expanduser().read_bytes())
    except OSError as error:
        raise Unavailable(f"{name}: {error.strerror}; --write-baseline writes one") from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{name} is no baseline; name a file that --write-baseline wrote") from None


def _parsed(data: bytes) -> Baseline:
    found = json.loads(data.decode("utf-8"))
    if found["schema"] != SCHEMA:
        raise KeyError(SCHEMA)
    rules = found.get("rules")
    return Baseline(
        tuple(
            KnownFinding(each["rule"], each["space"], int(each["first"], 16), int(each["size"]), each["said"])
            for each in found["findings"]
        ),
        None if rules is None else tuple(map(str, rules)),
    )


def replaced(name: str) -> Baseline:
    """Return the baseline that would be written over, an empty one where there is no file yet, or nothing in it.

    Raises `Refused` for a file that is something else, and `Unavailable` for one that cannot be read.
    """
    path = Path(name).expanduser()
    try:
        data = path.read_bytes() if path.is_file() else b""
        return _parsed(data) if data.strip() else Baseline((), ())
    except OSError as error:
        raise Unavailable(f"{name}: {error.strerror}; name a file that can be written") from None
    except (ValueError, KeyError, TypeError):
        raise Refused(f"{name} is no baseline, and --write-baseline would overwrite it; name another file") from None


def write(name: str, earlier: Baseline, asked: Collection[str], found: Iterable[Finding]) -> WrittenBaseline:
    """Write a baseline that has these findings, and of the rules that were not `asked` those of the `earlier` one."""
    kept = [each for each in earlier.findings if each.rule not in asked]
    known = sorted([*kept, *map(known_of, found)], key=lambda each: _place(each.rule))
    entries = [
        {"rule": each.rule, "space": each.space, "first": hexadecimal(each.first), "size": each.size_bytes,
         "said": each.said}
        for each in known
    ]  # fmt: skip
    rules = sorted({*asked, *(earlier.rules or ()), *(each.rule for each in kept)}, key=_place)
    text = json.dumps({"schema": SCHEMA, "rules": rules, "findings": entries}, indent=2)
    write_whole(Path(name).expanduser(), f"{text}\n".encode())
    return WrittenBaseline(name, len(known), len(kept))


def _place(rule: str) -> int:
    """Return where a rule stands in the list of all: one that is not there, of a later version, comes last."""
    return AUDITED.index(rule) if rule in AUDITED else len(AUDITED)
