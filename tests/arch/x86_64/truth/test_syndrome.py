"""What an error code of a page fault says: SDM volume 3, "Page-Fault Exceptions", its figure and the list after it."""

from __future__ import annotations

from itertools import product

import pytest

from gdbtools.arch.model import Access, AccessKind, AddressMeaning, Fault, FaultKind, Return
from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.arch.x86_64.privileges import SUPERVISOR, USER
from gdbtools.arch.x86_64.syndrome.page_fault import PageFaultCode, decode

# P, RSVD and PK: why; RSVD without P is no code of hardware's, and QEMU's own.
WHY = {
    (0, 0, 0): FaultKind.TRANSLATION, (0, 0, 1): FaultKind.TRANSLATION, (1, 0, 0): FaultKind.PERMISSION,
    (1, 0, 1): FaultKind.PROTECTION_KEY, (1, 1, 0): FaultKind.RESERVED_BIT, (1, 1, 1): FaultKind.RESERVED_BIT,
    (0, 1, 0): FaultKind.RESERVED_BIT, (0, 1, 1): FaultKind.RESERVED_BIT,
}  # fmt: skip
# I/D and W/R: what.
WHAT = {
    (0, 0): AccessKind.READ, (0, 1): AccessKind.WRITE, (1, 0): AccessKind.EXECUTE, (1, 1): AccessKind.EXECUTE,
}  # fmt: skip


@pytest.mark.parametrize("code", range(64))
def test_a_code_says_why_what_and_who(code: int) -> None:
    present, written, user, reserved, fetched, key = (code >> bit & 1 for bit in range(6))
    found = decode(code)
    assert found.fault == Fault(WHY[present, reserved, key]), "at which level it was is not said"
    assert found.access_kind is WHAT[fetched, written]
    assert found.from_lower is bool(user)
    assert found.address is (AddressMeaning.FETCHED if fetched else AddressMeaning.ACCESSED)
    assert (found.status, int(found.word), found.returns) == (code, code, Return.THIS_INSTRUCTION)
    # A fetch writes nothing; keys are of data, of what is present, and are looked at when the walk has ended well.
    of_no_cpu = (fetched and written) or (key and (fetched or reserved or not present))
    assert bool(found.notes) == bool((reserved and not present) or of_no_cpu)
    assert found.not_told_apart == {WHY[present, reserved, key]}
    assert found.other_rules == ()


@pytest.mark.parametrize(("bit", "name"), [(7, "HLAT"), (15, "SGX")])
def test_what_no_walk_of_these_tables_decides_is_a_rule_beside_them(bit: int, name: str) -> None:
    found = decode(1 << bit | 5)
    assert [(each.field.name, each.value) for each in found.other_rules] == [(name, 1)]
    assert found.fault == Fault(FaultKind.PERMISSION)


@pytest.mark.parametrize(("code", "kind"), [(0x45, "SHADOW_STACK_READ"), (0x47, "SHADOW_STACK_WRITE")])
def test_an_access_to_a_shadow_stack_is_a_kind_of_its_own(code: int, kind: str) -> None:
    assert (decode(code).access_kind, decode(code).other_rules) == (AccessKind[kind], ())
    made = PageFaultCode.of_fault(Fault(FaultKind.PERMISSION, 1, 1), Access(AccessKind[kind], USER), True)
    assert made == code


def test_a_code_has_32_bits_on_the_stack_and_what_is_above_is_none_of_it() -> None:
    assert decode(0xDEAD_0000_0000_0007).status == 7
    assert decode(0xFFFF_FFFF).status == 0xFFFF_FFFF


BITS = {
    FaultKind.TRANSLATION: 0, FaultKind.RESERVED_BIT: 9, FaultKind.PERMISSION: 1, FaultKind.PROTECTION_KEY: 0x21,
}  # fmt: skip


@pytest.mark.parametrize("kind", BITS)
def test_a_fault_has_the_code_that_the_figure_gives_it(kind: FaultKind) -> None:
    accesses = {AccessKind.READ: 0, AccessKind.WRITE: 2, AccessKind.EXECUTE: 0x10}
    for (access, bit), (who, user), told in product(accesses.items(), ((USER, 4), (SUPERVISOR, 0)), (False, True)):
        code = PageFaultCode.of_fault(Fault(kind, 1, 2), Access(access, who), told)
        assert code == BITS[kind] | user | (0 if bit == 0x10 and not told else bit)


def test_what_is_no_page_fault_has_no_code_and_every_kind_has_its_name() -> None:
    access = Access(AccessKind.READ, USER)
    assert X86_64.status(Fault(FaultKind.GENERAL_PROTECTION), access) is None
    assert X86_64.status(Fault(FaultKind.ALIGNMENT), access) is None
    assert X86_64.status(Fault(FaultKind.PERMISSION, 1, 1)) is None, "without an access there is no code"
    assert X86_64.status(Fault(FaultKind.PERMISSION, 1, 1), access) == 5
    assert (
        X86_64.called(Fault(FaultKind.GENERAL_PROTECTION), None)
        == "general protection (#GP(0); #SS(0) through the stack)"
    )
    assert X86_64.called(Fault(FaultKind.TRANSLATION, 1, 2), None) == "page fault (#PF): not present, level 2"
    assert X86_64.called(Fault(FaultKind.RESERVED_BIT, 1, 4), None) == "page fault (#PF): reserved bit, level 4"
    assert X86_64.called(Fault(FaultKind.PROTECTION_KEY), None) == "page fault (#PF): protection key"
    assert X86_64.called(Fault(FaultKind.PERMISSION, 1, 1), None) == "page fault (#PF): access rights, level 1"


# "Page-Fault Error Code", its figure: what 0 and 1 of a bit mean that says more than no and yes.
MEANINGS = {
    "P": ("an entry is not present", "every entry is present"), "W": ("read", "write"), "U": ("supervisor", "user"),
    "I": ("data", "an instruction was fetched"),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANINGS)
def test_both_values_of_a_bit_have_their_meaning(name: str) -> None:
    field = PageFaultCode.field(name)
    assert (field.meaning(0), field.meaning(1)) == MEANINGS[name]
