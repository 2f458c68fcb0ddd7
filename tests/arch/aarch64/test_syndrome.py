from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbtools.arch.aarch64.syndrome import DataAbort, InstructionAbort, decode, status
from gdbtools.arch.model import AccessKind, Fault, FaultKind

DATA_SAME, DATA_LOWER, FETCH_SAME, FETCH_LOWER = 0b100101 << 26, 0b100100 << 26, 0b100001 << 26, 0b100000 << 26


def test_osvs_crash_is_cache_maintenance_and_not_a_write() -> None:
    syndrome = decode(0x9600014B)
    assert syndrome.fault == Fault(FaultKind.ACCESS_FLAG, 1, 3)
    assert syndrome.access_kind is AccessKind.MAINTENANCE
    assert DataAbort(syndrome.word).WnR == 1


# DDI 0487, "Data fault status code": a sample that arithmetic on the level would get wrong is among them.
@pytest.mark.parametrize(
    ("code", "kind", "level"),
    [
        (0b000000, FaultKind.ADDRESS_SIZE, 0),
        (0b000111, FaultKind.TRANSLATION, 3),
        (0b001000, FaultKind.ACCESS_FLAG, 0),
        (0b001101, FaultKind.PERMISSION, 1),
        (0b010000, FaultKind.EXTERNAL_ABORT, None),
        (0b010001, FaultKind.TAG_CHECK, None),
        (0b010011, FaultKind.EXTERNAL_ABORT, -1),
        (0b010111, FaultKind.EXTERNAL_ABORT, 3),
        (0b100001, FaultKind.ALIGNMENT, None),
        (0b101001, FaultKind.ADDRESS_SIZE, -1),
        (0b101011, FaultKind.TRANSLATION, -1),
        (0b110000, FaultKind.TLB_CONFLICT, None),
    ],
)
def test_fault_status_codes_are_the_manuals(code: int, kind: FaultKind, level: int | None) -> None:
    assert decode(DATA_SAME | code).fault == Fault(kind, 1, level)
    # A fetch has neither tags nor alignment to check: these codes are reserved in IFSC.
    data_only = kind in (FaultKind.TAG_CHECK, FaultKind.ALIGNMENT)
    assert decode(FETCH_LOWER | code).fault == (None if data_only else Fault(kind, 1, level))
    assert status(Fault(kind, 1, level)) == code


def test_the_four_abort_classes_say_who_wanted_what() -> None:
    assert decode(DATA_SAME | 1 << 6).access_kind is AccessKind.WRITE
    assert decode(DATA_LOWER).access_kind is AccessKind.READ
    assert decode(FETCH_SAME).access_kind is AccessKind.EXECUTE
    assert [decode(ec).from_lower for ec in (DATA_SAME, DATA_LOWER, FETCH_SAME, FETCH_LOWER)] == [False, True] * 2


def test_far_is_invalid_only_where_fnv_means_something() -> None:
    external, translation = 0b010000, 0b000111
    assert not decode(DATA_SAME | 1 << 10 | external).address_valid
    assert decode(DATA_SAME | 1 << 10 | translation).address_valid
    assert not decode(FETCH_SAME | 1 << 10 | external).address_valid


def test_a_stage_2_fault_on_a_stage_1_walk_is_of_stage_2() -> None:
    syndrome = decode(DATA_LOWER | 1 << 7 | 0b000110)
    assert syndrome.fault == Fault(FaultKind.TRANSLATION, 2, 2, s1ptw=True)
    assert syndrome.s1ptw


def test_without_isv_the_register_fields_do_not_apply() -> None:
    without, with_isv = DataAbort(DATA_SAME | 3 << 22), DataAbort(DATA_SAME | 1 << 24 | 3 << 22)
    assert not without.applies(DataAbort.SAS)
    assert with_isv.applies(DataAbort.SAS)
    assert not with_isv.applies(DataAbort.SET)


def test_classes_that_are_not_aborts_have_a_name_and_no_fault() -> None:
    assert decode(0x56000000).name == "SVC"
    assert decode(0x56000000).fault is None
    assert "reserved" in decode(0x3F << 26).name


@given(st.integers(0, (1 << 64) - 1))
def test_no_value_is_refused_and_every_bit_is_told_once(value: int) -> None:
    word = decode(value).word
    told = word.reserved
    for each in word.decoded():
        assert told & each.field.mask == 0
        told |= each.field.into(0, each.value)
    assert told == value


@given(st.integers(0, (1 << 26) - 1), st.sampled_from((DATA_SAME, DATA_LOWER, FETCH_SAME, FETCH_LOWER)))
def test_an_abort_always_has_its_own_layout(iss: int, exception_class: int) -> None:
    word = decode(exception_class | iss).word
    assert isinstance(word, DataAbort if exception_class in (DATA_SAME, DATA_LOWER) else InstructionAbort)
