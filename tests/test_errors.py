"""Errors: each kind has its exit status, and is of the same kind in the process that it crosses to."""

from __future__ import annotations

import json

import pytest

from gdbtools.children.debugger import DebuggerLost
from gdbtools.errors import (
    KINDS,
    GdbtoolsError,
    Interrupted,
    Malformed,
    Refused,
    Unavailable,
    Unreadable,
    UsageError,
    crossed,
    crossing,
)

EACH = (
    Unreadable((1 << 63) + 8, 8, "the dump has no memory there"),
    *(kind("a reason; do this") for kind in (Unavailable, Refused, UsageError, Malformed, Interrupted)),
)


@pytest.mark.parametrize("error", EACH, ids=lambda each: type(each).__name__)
def test_a_kind_crosses_by_its_name_with_its_words_and_its_parts(error: GdbtoolsError) -> None:
    found = crossed(json.loads(json.dumps(crossing(error))))
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert vars(found) == vars(error)


def test_every_kind_there_is_crosses() -> None:
    assert {type(each) for each in EACH} == set(KINDS.values())
    assert set(KINDS.values()) == {
        each for each in GdbtoolsError.__subclasses__() if each.__module__ == "gdbtools.errors"
    }


def test_a_kind_of_one_face_crosses_as_what_it_is_for_all() -> None:
    assert type(crossed(crossing(DebuggerLost("GDB is gone")))) is Unavailable


def test_misuse_absence_and_refusal_have_exit_statuses_of_their_own() -> None:
    assert UsageError.status == 2
    assert {kind.status for kind in (Unreadable, Unavailable, Malformed)} == {3}
    assert Refused.status == 4
