"""Decoding never refuses: whatever the 64 bits, each is accounted for once, and the fields make the same word again."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator

import pytest

from gdbtools.arch.aarch64.architecture import ARCHITECTURE
from gdbtools.arch.aarch64.syndrome import CLASSES, EC, Encoding, ESR_ELx, decode
from gdbtools.arch.aarch64.syndrome.exception_class import NAMES
from gdbtools.commands.syndrome.run import Decoded
from gdbtools.commands.syndrome.view import record, view
from gdbtools.render.text import render
from gdbtools.systems import convention

SEED = int(os.environ.get("GDBTOOLS_SEED") or 20260101)
SAMPLES = 8000 if os.environ.get("GDBTOOLS_FULL") else 120
"""Of each exception class, allocated or not."""
ISS, ISS2, IL, ABOVE = 1 << 25, 1 << 24, 1 << 25, 1 << 56


def values(exception_class: int) -> Iterator[int]:
    """Yield values of a class: every bit alone, all but one, none, all, and random ones, thin ones among them."""
    base = exception_class << 26
    for bit in (*range(26), *range(32, 64)):
        yield base | 1 << bit
        yield base | ((1 << 64) - 1) & ~(0x3F << 26) & ~(1 << bit)
    yield base
    yield base | ((1 << 64) - 1) & ~(0x3F << 26)
    draw = random.Random(SEED * 64 + exception_class)
    for _ in range(SAMPLES):
        value = base | draw.getrandbits(1) * IL | draw.randrange(ISS)
        value |= draw.choice((0, draw.randrange(ISS2), 1 << draw.randrange(24))) << 32
        yield value | draw.choice((0, 0, 0, draw.randrange(256))) * ABOVE
        yield base | 1 << draw.randrange(25) | 1 << draw.randrange(25) | draw.randrange(64)


@pytest.mark.parametrize("exception_class", range(64))
def test_every_bit_is_in_one_field_or_in_the_reserved_note(exception_class: int) -> None:
    for value in values(exception_class):
        word = decode(value).word
        told = word.reserved
        for each in word.decoded():
            assert told & each.field.mask == 0, hex(value)
            told |= each.field.into(0, each.value)
        assert told == value, hex(value)


@pytest.mark.parametrize("exception_class", range(64))
def test_the_fields_put_in_again_make_the_same_word(exception_class: int) -> None:
    for value in values(exception_class):
        word = decode(value).word
        again = type(word)(word.reserved).with_(**{each.field.name: each.value for each in word.decoded()})
        assert again == value
        assert type(decode(again).word) is type(word)


@pytest.mark.parametrize("exception_class", range(64))
def test_every_value_can_be_shown_and_recorded(exception_class: int) -> None:
    for number, value in enumerate(values(exception_class)):
        if number % 4:
            continue
        syndrome = decode(value)
        answer = Decoded(syndrome, ARCHITECTURE, convention(ARCHITECTURE, syndrome))
        assert syndrome.name in render(view(answer), width=400)
        recorded = json.loads(json.dumps(record(answer)))
        assert int(recorded["value"], 16) == value
        whole = int(recorded["reserved"], 16)
        for field, told in zip(syndrome.word.fields(), recorded["fields"], strict=True):
            assert (told["name"], told["bits"]) == (field.name, field.position)
            whole |= field.into(0, int(told["raw"], 16))
            assert told["applies"] or told["meaning"] is None
        assert whole == value


def test_every_class_of_the_manual_has_a_layout_and_a_name() -> None:
    assert set(CLASSES) == set(EC) == set(NAMES)
    for exception_class in range(64):
        syndrome = decode(exception_class << 26)
        assert isinstance(syndrome.word, Encoding)
        assert syndrome.word.EC == exception_class
        assert syndrome.name.startswith("reserved") == (exception_class not in CLASSES)


def test_no_layout_claims_what_the_classes_have_in_common_for_itself() -> None:
    for exception_class in range(64):
        for value in values(exception_class):
            layout = type(decode(value).word)
            assert {field.name for field in layout.fields()} >= {"EC", "IL"}
            assert not layout.field("EC").mask & layout.reserved_mask()
            assert ESR_ELx.EC.mask == layout.field("EC").mask
            assert not any(field.mask >> 56 for field in layout.fields()), "ESR_ELx[63:56] is RES0"
