"""Every architecture says of its own causes what others ask: whether an entry is none, or leads too far."""

from __future__ import annotations

import pytest

from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.model import Cause
from gdbtools.arch.riscv.causes import PagedCause
from gdbtools.arch.x86_64.causes import PagingCause

ABSENT = {"INVALID_ENTRY", "NOT_PRESENT", "EPT_NOT_PRESENT"}
TOO_FAR = {"OUTPUT_TOO_LARGE", "TABLE_TOO_LARGE", "ADDRESS_WIDTH"}


@pytest.mark.parametrize("causes", [VMSA32Cause, VMSACause, PagedCause, PagingCause])
def test_an_entry_that_is_none_and_one_that_leads_too_far_are_told_from_others(causes: type[Cause]) -> None:
    assert {each.name for each in causes if each.is_absent} == ABSENT & set(causes.__members__)
    assert {each.name for each in causes if each.is_address_size} == TOO_FAR & set(causes.__members__)


def test_no_architecture_is_left_out() -> None:
    ours = {each for each in Cause.__subclasses__() if each.__module__.startswith("gdbtools.")}
    assert ours == {VMSA32Cause, VMSACause, PagedCause, PagingCause}
