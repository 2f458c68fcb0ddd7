"""What a test says where a passing run is read, too: seeds, and how much was compared.  Printed at the end of a run."""

from __future__ import annotations

SAID: list[str] = []
"""What was said since the last phase of a test; conftest.py sends it on with that test's report."""


def say(text: str) -> None:
    SAID.append(text)
