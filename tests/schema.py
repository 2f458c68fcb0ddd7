"""The published JSON schema, and the answers that are held to it: every one that a test reads (tests/conftest.py)."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from gdbtools.render.json import SCHEMA as NAME
from tests.places import ROOT

PAGE = ROOT / "docs/schema/gdbtools-1.json"
THERE = importlib.util.find_spec("jsonschema_rs") is not None
"""Whether there is what holds answers to it."""
MISSING = "jsonschema-rs is not installed, and no answer is held to its schema; install it: pip install -e '.[dev]'"


@dataclass
class Tally:
    """How many answers were held to the schema since it was last asked, and how long that took."""

    answers: int = 0
    seconds: float = 0


TALLY = Tally()


@cache
def published() -> Mapping[str, Any]:
    """Return the schema as it is in docs/."""
    found: Mapping[str, Any] = json.loads(PAGE.read_text())
    return found


@cache
def validator() -> Any:
    """Return what holds an answer to the schema, compiled once."""
    import jsonschema_rs  # CI has it; a run without it says so

    return jsonschema_rs.validator_for(published())


def mistakes(answer: Mapping[str, Any]) -> list[str]:
    """Return where an answer, a line of `--json`, is not as the schema has it, and how."""
    said = [(error.instance_path, error.message) for error in validator().iter_errors(answer)]
    return ["/".join(map(str, path)) + ": " + message[:300] for path, message in said]


def is_answer(read: object) -> bool:
    """Return whether what was read from JSON is a line of `--json`.

    What GDB tells the prompt has the same name, and a status beside its documents and its lines.
    """
    return isinstance(read, dict) and read.get("schema") == NAME and "status" not in read


def hold(answer: Mapping[str, Any]) -> None:
    """Hold an answer to the schema; raises AssertionError with what is wrong where."""
    began = time.perf_counter()
    fits = validator().is_valid(answer)
    TALLY.answers += 1
    TALLY.seconds += time.perf_counter() - began
    assert fits, "\n".join([f"an answer of `{answer.get('command')}` is not as {PAGE.name} has it", *mistakes(answer)])
