"""Every offline answer is what was recorded: what is meant to change one records them again, and shows it."""

from __future__ import annotations

import json

import pytest

from tests import schema
from tests.recorded_answers import answers, digest, recorded
from tests.said import say


@pytest.mark.slow
def test_every_answer_is_as_it_was_recorded() -> None:
    before = recorded()
    asked: dict[str, str] = {}
    for line, text in answers():
        asked[line] = digest(text)
        for each in text.splitlines():
            if schema.THERE and each.startswith("{"):
                # Which holds it to the schema: conftest.py.
                assert schema.is_answer(json.loads(each))
    changed = [line for line in asked if asked[line] != before.get(line)]
    assert asked.keys() == before.keys()
    assert changed == [], f"{len(changed)} of {len(asked)}: python -m tests.recorded_answers write FOLDER shows them"
    say(f"{len(asked)} recorded answers compared")
