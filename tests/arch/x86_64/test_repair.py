"""What of an entry is changed, which of a guest's instructions are borrowed for what, and where a frame would be."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from gdbtools.addresses import VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.gadgets import Extent, Need, Scope, Use
from gdbtools.arch.model import Access, AccessKind, with_memory
from gdbtools.arch.x86_64.privileges import SUPERVISOR
from gdbtools.arch.x86_64.tables.descriptors import page_entry, table_entry
from gdbtools.arch.x86_64.tables.geometry import LEVELS_4
from gdbtools.errors import Refused
from tests.arch.x86_64.test_page_faults import IDT, REGISTERS, cpu, image
from tests.tables import reader

X86: Any = ARCHITECTURES["x86_64"]
Page = page_entry(LEVELS_4, 12)
Large = page_entry(LEVELS_4, 21)
P, RW, US, A, D, PS, G, NX = 1, 2, 4, 0x20, 0x40, 0x80, 0x100, 1 << 63
NONE = DirtyConvention.NONE
KERNEL = {"cr0": 0x8001_0001, "cr3": 0x1000, "cr4": 0xA0, "efer": 0xD00, "cs": 0x10, "eflags": 2, "rsp": 0x9000}
PCIDE, PGE = 1 << 17, 1 << 7
ASSEMBLED = {
    "invlpg (%rdi)": "0f013f", "invlpg (%rax)": "0f0138", "invlpg (%rsp)": "0f013c24", "invlpg 8(%rdi)": "0f017f08",
    "invlpg (%rip)": "0f013d00000000", "mov %rax,%cr3": "0f22d8", "mov %rdi,%cr4": "0f22e7", "mov %rax,%cr0": "0f22c0",
    "mov %rsp,%cr3": "0f22dc", "mov %cr3,%rax": "0f20d8", "iretq": "48cf", "iret": "cf90", "mov (%rsi),%al": "8a06",
    "mov (%rsi),%ah": "8a26", "mov 8(%rsi),%al": "8a4608", "mov (%rsp),%al": "8a0424", "mov %al,(%rsi)": "8806",
    "mov %cl,(%rcx)": "8809", "mov (%rcx),%cl": "8a09", "mov (%rbx),%edx": "8b13", "mov %edx,(%rbx)": "8913",
    "swapgs": "0f01f8",
}  # fmt: skip
"""As GNU as has them."""


def test_hardware_sets_both_flags_and_a_page_alone_has_them() -> None:
    assert X86.repair.set_access_flag(Page(P), False, NONE) == P | A
    assert X86.repair.set_access_flag(Page(P | RW), True, NONE) == P | RW | A | D
    assert X86.repair.clear_access_flag(Page(P | A | D)) == P | D
    assert X86.repair.set_dirty_state(Page(P | RW), NONE) == P | RW | A | D
    assert X86.repair.set_dirty_state(Page(P), NONE) is None
    assert X86.repair.broken(Page(P | RW)) == RW
    with pytest.raises(Refused, match="only a page's entry"):
        X86.repair.clear_access_flag(table_entry(LEVELS_4)(P))


def needs(before: int, after: int, cached: bool = True, layout: Any = Page, **registers: int) -> dict[str, Need]:
    known = reader(registers or {"cr4": 0xA0})
    return {each.name: each.need for each in X86.repair.changes(layout(before), layout(after), cached, known)}


def test_what_permits_less_or_leads_elsewhere_needs_an_invalidation_and_what_permits_more_none() -> None:
    assert needs(P | RW | US, P) == {"US": Need.INVALIDATION, "RW": Need.INVALIDATION}
    assert needs(P | NX, P | RW | US) == {"NX": Need.NOTHING, "US": Need.NOTHING, "RW": Need.NOTHING}
    assert needs(P, P | NX) == {"NX": Need.INVALIDATION}
    assert needs(P | A | D, P) == {"A": Need.INVALIDATION, "D": Need.INVALIDATION}
    assert needs(P, P | A | D) == {"A": Need.NOTHING, "D": Need.NOTHING}
    assert needs(P, P | 0x1000) == {"OutputAddress": Need.INVALIDATION}
    assert needs(P, 0) == {"P": Need.INVALIDATION}
    assert needs(P, P | 1 << 9) == {"AVL": Need.NOTHING}


@pytest.mark.parametrize("bit", range(32))
def test_what_becomes_the_users_needs_an_invalidation_where_that_takes_it_from_somebody(bit: int) -> None:
    """SMEP, SMAP, PKE, CET and PKS: a TLB that still has it as the supervisor's goes on granting what they refuse."""
    need = Need.INVALIDATION if bit in (20, 21, 22, 23, 24) else Need.NOTHING
    assert needs(P, P | US, cr4=0xA0 | 1 << bit) == {"US": need}
    (change,) = X86.repair.changes(Page(P), Page(P | US), True, reader({"cr4": 1 << bit}))
    assert ("cr4." in change.why) == (need is Need.INVALIDATION)


def test_where_cr4_is_not_known_what_becomes_the_users_is_invalidated() -> None:
    assert needs(P, P | US, cr0=1) == {"US": Need.INVALIDATION}


def test_a_shadow_stacks_page_that_becomes_writable_is_one_no_more() -> None:
    cet = 0xA0 | 1 << 23
    assert needs(P | D, P | D | RW, cr4=cet) == {"RW": Need.INVALIDATION}
    assert needs(P, P | RW, cr4=cet) == {"RW": Need.NOTHING}
    assert needs(P | D, P | D | RW, cr4=0xA0) == {"RW": Need.NOTHING}


def test_what_was_not_present_is_in_no_tlb() -> None:
    assert needs(0, P, cached=False) == {"P": Need.NOTHING}


def test_a_size_is_changed_by_way_of_an_entry_that_is_not_present() -> None:
    assert needs(P | PS, P, layout=Large) == {"PS": Need.BREAK}


def lent(kinds: Any, text: str) -> Use | None:
    """Return how an instruction is used for a purpose; None where it is not borrowed for it."""
    code = bytes.fromhex(ASSEMBLED[text])
    for each in sorted(kinds, key=lambda kind: kind.rank):
        word = int.from_bytes(code[: each.size_bytes], "little")
        if len(code) >= each.size_bytes and each.fits(word) and (use := each.use(word)) is not None:
            return use
    return None


def invalidates(scope: Scope, text: str, **registers: int) -> Use | None:
    kinds = X86.gadgets.invalidations(scope, reader({**KERNEL, **registers}))
    assert not any(each.broadcast for each in kinds), "each is of its own CPU"
    return lent(kinds, text)


def test_an_address_is_invalidated_by_invlpg_of_any_register_that_alone_has_it() -> None:
    here = Scope(Extent.ADDRESS, 0x4000)
    assert invalidates(here, "invlpg (%rdi)") == Use("invlpg [rdi]", {"rdi": 0x4000})
    assert invalidates(here, "invlpg (%rax)") == Use("invlpg [rax]", {"rax": 0x4000})
    for other in ("invlpg (%rsp)", "invlpg 8(%rdi)", "invlpg (%rip)", "swapgs", "mov %rax,%cr3"):
        assert invalidates(here, other) is None, "the last would leave what is global"


def test_with_pcids_what_invlpg_leaves_is_said() -> None:
    found = invalidates(Scope(Extent.ADDRESS, 0x4000), "invlpg (%rdi)", cr4=0xA0 | PCIDE)
    assert found is not None
    assert found.leaves == "entries of other PCIDs stay (cr4.PCIDE is 1), unless they are global"


def test_everything_goes_by_changing_pge_and_changing_it_back() -> None:
    """A load of cr3 leaves what is global, and with PCIDs what is of others."""
    for cr4 in (0x20, 0x20 | PGE, 0x20 | PGE | PCIDE):
        found = invalidates(Scope(Extent.ALL), "mov %rdi,%cr4", cr4=cr4)
        assert found == Use("mov cr4, rdi", {"rdi": cr4 ^ PGE}, again=({"rdi": cr4},))
        for other in ("mov %rax,%cr3", "mov %rax,%cr0", "invlpg (%rdi)"):
            assert invalidates(Scope(Extent.ALL), other, cr4=cr4) is None


def test_the_current_pcid_goes_by_a_load_of_cr3_and_what_that_leaves_is_said() -> None:
    own = Scope(Extent.ADDRESS_SPACE, 5)
    found = invalidates(own, "mov %rax,%cr3", cr3=1 << 63 | 0x1005, cr4=0xA0 | PCIDE)
    assert found is not None
    assert found.registers == {"rax": 0x1005}, "with bit 63 nothing would be invalidated"
    assert found.leaves.startswith("global entries stay (cr4.PGE is 1)")
    unused = invalidates(own, "mov %rax,%cr3", cr3=0x1005, cr4=0x20 | PCIDE)
    assert unused is not None
    assert not unused.leaves
    assert invalidates(own, "mov %rsp,%cr3", cr3=0x1005, cr4=0xA0 | PCIDE) is None


def test_another_pcid_goes_with_everything() -> None:
    other = Scope(Extent.ADDRESS_SPACE, 6)
    assert invalidates(other, "mov %rax,%cr3", cr3=0x1005, cr4=0xA0 | PCIDE) is None
    assert invalidates(other, "mov %rdi,%cr4", cr3=0x1005, cr4=0xA0 | PCIDE) is not None
    with pytest.raises(Refused, match=r"cr4\.PCIDE is 0"):
        invalidates(other, "mov %rax,%cr3")
    assert X86.gadgets.address_space_bits(reader(KERNEL)) == 12


@pytest.mark.parametrize(
    ("registers", "said"), [({"cs": 0x33}, "CPL 3, where nothing privileged"), ({"efer": 0}, "not in long mode")]
)
def test_where_it_would_fault_none_is_borrowed(registers: dict[str, int], said: str) -> None:
    with pytest.raises(Refused, match=said):
        X86.gadgets.invalidations(Scope(Extent.ALL), reader({**KERNEL, **registers}))


def tried(text: str, kind: AccessKind, address: int = 0x4001) -> Use | None:
    return lent(X86.gadgets.accesses(Access(kind, SUPERVISOR), VA(address), reader(KERNEL)), text)


def test_a_load_is_borrowed_whose_address_is_in_one_register() -> None:
    assert tried("mov (%rsi),%al", AccessKind.READ) == Use("mov al, [rsi]", {"rsi": 0x4001}, "rax", 1)
    assert tried("mov (%rcx),%cl", AccessKind.READ) == Use("mov cl, [rcx]", {"rcx": 0x4001}, "rcx", 1)
    assert tried("mov (%rbx),%edx", AccessKind.READ, 0x4004) == Use("mov edx, [rbx]", {"rbx": 0x4004}, "rdx", 4)
    assert tried("mov (%rbx),%edx", AccessKind.READ) is None, "it is not aligned"
    for other in ("mov (%rsi),%ah", "mov 8(%rsi),%al", "mov (%rsp),%al", "mov %al,(%rsi)"):
        assert tried(other, AccessKind.READ) is None


def test_a_store_does_not_write_its_own_address() -> None:
    assert tried("mov %al,(%rsi)", AccessKind.WRITE) == Use("mov [rsi], al", {"rsi": 0x4001}, "rax", 1)
    assert tried("mov %cl,(%rcx)", AccessKind.WRITE) is None
    assert tried("mov (%rsi),%al", AccessKind.WRITE) is None


def test_what_cannot_be_tried_says_so() -> None:
    gadgets, known = X86.gadgets, reader(KERNEL)
    with pytest.raises(Refused, match="an execution cannot be tried"):
        gadgets.accesses(Access(AccessKind.EXECUTE, SUPERVISOR), VA(0x4000), known)
    with pytest.raises(Refused, match="stop in user mode"):
        gadgets.accesses(Access(AccessKind.READ, SUPERVISOR, True), VA(0x4000), known)
    with pytest.raises(Refused, match="not canonical: an access raises #GP"):
        gadgets.accesses(Access(AccessKind.READ, SUPERVISOR), VA(1 << 47), known)
    with pytest.raises(Refused, match="no instruction that translates"):
        gadgets.translations(Access(AccessKind.READ, SUPERVISOR), VA(0x4000), known)


def test_the_way_back_drops_the_error_code_and_is_an_iretq() -> None:
    assert X86.exceptions.way_back(reader(KERNEL), None) is None
    assert X86.exceptions.way_back(reader(KERNEL), VA(0x5000)) == {"rsp": 0x9008, "rip": 0x5000}
    assert lent(X86.gadgets.returns, "iretq") == Use("iretq", {})
    assert lent(X86.gadgets.returns, "iret") is None


TASK = 0x8000
HANDLERS_STACK, THIRD_STACK = 0xA110, 0xB000


def taking(ist: int, tables: dict[int, int] | None = None, **registers: int) -> Any:
    """Return a CPU with a task whose stacks are known, and a gate that asks for one of them or for none."""
    memory = image(0)
    memory[IDT + 14 * 16 + 4] = ist
    memory[TASK + 4 : TASK + 12] = struct.pack("<Q", HANDLERS_STACK)
    memory[TASK + 0x34 : TASK + 0x3C] = struct.pack("<Q", THIRD_STACK)
    for at, entry in (tables or {}).items():
        memory[at : at + 8] = struct.pack("<Q", entry)
    return with_memory(cpu(bytes(memory), tr=TASK, **registers), lambda pa, size: bytes(memory[pa : pa + size]))


@pytest.mark.parametrize(
    ("ist", "registers", "first"),
    [
        (0, {"rsp": 0x9F0C}, 0x9F00 - 48),
        (0, {"cs": 0x33}, HANDLERS_STACK - 48),
        (3, {}, THIRD_STACK - 48),
        (3, {"cs": 0x33}, THIRD_STACK - 48),
    ],
)
def test_a_frame_is_on_the_stack_that_gate_and_task_choose(ist: int, registers: dict[str, int], first: int) -> None:
    assert X86.gadgets.pushed(taking(ist, **registers)) == [(first, 48)]


def test_a_frame_in_two_pages_is_in_two_places() -> None:
    swapped = {0x5000 + 8 * 8: 0xC000 | P | RW}
    found = X86.gadgets.pushed(taking(0, swapped, rsp=0x9010))
    assert found == [(0xCFE0, 32), (0x9000, 16)]


def test_where_the_frame_could_not_be_written_no_fault_is_provoked() -> None:
    for entry in (0, 0x9000 | P):
        with pytest.raises(Refused, match=r"its frame would be at 0x9ed0, which is not writable"):
            X86.gadgets.pushed(taking(0, {0x5000 + 8 * 9: entry}, rsp=0x9F00, cr0=REGISTERS["cr0"] | 1 << 16))


def test_a_handler_is_entered_in_supervisor_mode_below_its_frame() -> None:
    (entered,) = X86.gadgets.entered(taking(0, cs=0x33))
    assert X86.privilege(entered) == SUPERVISOR
    assert entered("rsp") == HANDLERS_STACK - 48
    assert entered("rip") == REGISTERS["rip"]
