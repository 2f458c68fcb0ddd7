"""Instructions of two and of four bytes: what they access, how long they are, what they do to a translation."""

from __future__ import annotations

import pytest

from gdbtools.addresses import VA
from gdbtools.arch.instruction_effects import Effect, EffectKind
from gdbtools.arch.model import AccessKind
from gdbtools.arch.riscv.instructions import effects, length
from gdbtools.arch.riscv.instructions.memory import memory_access
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable
from tests.arch.riscv.assembled import WORDS
from tests.arch.riscv.machine import AD, SV39, G, R, V, W, guest, paged
from tests.tables import reader

READ, WRITE, CODE = AccessKind.READ, AccessKind.WRITE, AccessKind.READ_EXECUTABLE
A0, A1, A2, A3, A4, A5, S0, S1, T0, RA, SP = 10, 11, 12, 13, 14, 15, 8, 9, 5, 1, 2
END = VA(0x8000)
WAIT, SYNCHRONIZE, INVALIDATE, STORE = (
    EffectKind.WAIT,
    EffectKind.SYNCHRONIZE,
    EffectKind.INVALIDATE,
    EffectKind.STORE,
)


@pytest.mark.parametrize(
    ("text", "kinds", "size_bytes", "register", "base", "offset"),
    [
        ("lb a0, -4(a1)", {READ}, 1, A0, A1, -4),
        ("lhu t0, 6(sp)", {READ}, 2, T0, SP, 6),
        ("lw a5, 2047(s0)", {READ}, 4, A5, S0, 2047),
        ("ld a4, -2048(a3)", {READ}, 8, A4, A3, -2048),
        ("lwu a4, 8(a3)", {READ}, 4, A4, A3, 8),
        ("sb a0, 1(a1)", {WRITE}, 1, A0, A1, 1),
        ("sh a0, -2(a1)", {WRITE}, 2, A0, A1, -2),
        ("sw a2, 16(a5)", {WRITE}, 4, A2, A5, 16),
        ("sd a2, -8(a5)", {WRITE}, 8, A2, A5, -8),
        ("flw fa0, 4(a0)", {READ}, 4, None, A0, 4),
        ("fsd fa0, 8(a0)", {WRITE}, 8, None, A0, 8),
        ("lr.d a0, (a1)", {READ}, 8, A0, A1, 0),
        ("sc.d a0, a2, (a1)", {WRITE}, 8, None, A1, 0),
        ("amoswap.d a0, a2, (a1)", {WRITE}, 8, None, A1, 0),
        ("amoor.w zero, a2, (a1)", {WRITE}, 4, None, A1, 0),
        ("hlv.b a0, (a1)", {READ}, 1, A0, A1, 0),
        ("hlv.wu a0, (a1)", {READ}, 4, A0, A1, 0),
        ("hlvx.hu a0, (a1)", {READ, CODE}, 2, A0, A1, 0),
        ("hsv.w a2, (a1)", {WRITE}, 4, A2, A1, 0),
        ("cbo.zero (a0)", {WRITE}, None, None, A0, 0),
        ("vle64.v v0, (a0)", {READ}, None, None, A0, None),
        ("c.lw a0, 124(a1)", {READ}, 4, A0, A1, 124),
        ("c.ld a4, 248(a5)", {READ}, 8, A4, A5, 248),
        ("c.sw a2, 68(s1)", {WRITE}, 4, A2, S1, 68),
        ("c.sd a2, 8(s0)", {WRITE}, 8, A2, S0, 8),
        ("c.fld fa0, 16(a0)", {READ}, 8, None, A0, 16),
        ("c.lwsp a0, 252(sp)", {READ}, 4, A0, SP, 252),
        ("c.ldsp ra, 504(sp)", {READ}, 8, RA, SP, 504),
        ("c.swsp a0, 132(sp)", {WRITE}, 4, A0, SP, 132),
        ("c.sdsp s0, 264(sp)", {WRITE}, 8, S0, SP, 264),
        ("c.fsdsp fa0, 8(sp)", {WRITE}, 8, None, SP, 8),
    ],
)
def test_a_load_or_store_is_read_as_the_assembler_wrote_it(
    text: str, kinds: set[AccessKind], size_bytes: int | None, register: int | None, base: int, offset: int | None
) -> None:
    found = memory_access(WORDS[text], 64)
    assert found is not None
    assert (found.kinds, found.size_bytes, found.register, found.base, found.offset) == (
        kinds,
        size_bytes,
        register,
        base,
        offset,
    )


@pytest.mark.parametrize("text", ["addi a1, a1, 8", "c.addi a1, 1", "fence rw, rw", "sfence.vma", "ecall", "c.ebreak"])
def test_what_is_no_load_or_store_is_none(text: str) -> None:
    assert memory_access(WORDS[text], 64) is None


def test_where_xlen_is_32_a_doubleword_of_the_compressed_is_a_float() -> None:
    narrow = memory_access(WORDS["c.sd a2, 8(s0)"], 32)
    assert narrow is not None
    assert (narrow.name, narrow.size_bytes, narrow.register) == ("c.fsw", 4, None)


@pytest.mark.parametrize("text", WORDS)
def test_the_first_two_bits_say_how_long_it_is(text: str) -> None:
    long = not text.startswith("c.")
    code = WORDS[text].to_bytes(4 if long else 2, "little")
    assert length(code[:1]) == len(code)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("lw a5, 2047(s0)", A5), ("sd a2, -8(a5)", None), ("flw fa0, 4(a0)", None), ("amoswap.d a0, a2, (a1)", A0),
        ("csrr a3, sstatus", A3), ("add a1, a2, a3", A1), ("lui a1, 1", A1), ("c.addi a1, 1", A1), ("c.mv a1, a2", A1),
        ("c.li a1, 3", A1), ("c.addi4spn a1, sp, 16", A1), ("c.ld a4, 248(a5)", A4), ("c.sd a2, 8(s0)", None),
        ("c.fld fa0, 16(a0)", None), ("beq a0, a1, .+8", None), ("c.beqz a0, .+8", None), ("fcvt.l.d a1, fa0", A1),
        ("fmadd.d fa0, fa1, fa2, fa3", None), ("hlv.d a0, (a1)", A0),
    ],
)  # fmt: skip
def test_the_register_that_an_instruction_writes_is_known(text: str, written: int | None) -> None:
    assert effects.destination(WORDS[text], 64) == written


@pytest.mark.parametrize(
    "text", ["jal ra, .+8", "jalr a0", "c.j .+8", "c.jr a0", "ecall", "ebreak", "c.ebreak", "sret", "mret", "wfi"]
)
def test_behind_a_jump_or_a_trap_nothing_is_told(text: str) -> None:
    with pytest.raises(effects.Stops):
        effects.destination(WORDS[text], 64)


PADDING = ("c.nop",) * 4
"""Behind it both ways of reading are one."""


def code(*texts: str) -> bytes:
    return b"".join(WORDS[text].to_bytes(2 if text.startswith("c.") else 4, "little") for text in texts)


@pytest.mark.parametrize("before", [b"", b"\x13\x00", b"\x01\x00", code("c.nop", "c.nop", "nop")])
def test_code_is_read_from_its_end_whatever_of_an_instruction_its_beginning_has(before: bytes) -> None:
    """Two bytes of an instruction of four in front are no instruction, and hide none."""
    texts = ("sd a2, -8(a5)", "c.nop", "addi a1, a1, 8", "c.mv a1, a2")
    found = effects.instructions(before + code(*texts))
    assert [word for _, word in found][-2:] == [WORDS[text] for text in texts[-2:]]


def test_what_may_be_read_in_two_ways_is_not_told() -> None:
    """A halfword that both ends an instruction of four bytes and is one of two: nothing before says which."""
    ambiguous = code("nop")[:2] + code("c.nop")
    assert effects.instructions(ambiguous) == []


def done(*texts: str, flags: int = V | R | W | AD, regime: str = "s", **registers: int) -> list[Effect]:
    """Return what some code did for the page at 0x3000, the latest first; a0 is in it."""
    known = {"a0": 0x3000, "a1": 7, "a5": 0x5008, **registers}
    hart = paged(flags, satp=SV39 << 60 | 7 << 44 | 0x8000_0000 >> 12)
    hart.memory[0x8000_2018] = hart.memory[0x8000_2000]
    register = reader({**hart.regs, **known})
    about = walk(hart.architecture.regime_for(register, VA(0x3000)), VA(0x3000), hart.read)
    return [*hart.architecture.exceptions.effects(code(*PADDING, *texts), END, register, regime, about)]


def told(found: list[Effect]) -> list[tuple[EffectKind, bool | None]]:
    return [(each.deed, each.reaches) for each in found]


ALL_OF_IT = [(SYNCHRONIZE, None), (INVALIDATE, True), (WAIT, None)]


@pytest.mark.parametrize(
    ("text", "registers", "reaches"),
    [
        ("sfence.vma", {}, True),
        ("sfence.vma a0", {}, True),
        ("sfence.vma a0", {"a0": 0x3ABC}, True),
        ("sfence.vma a0", {"a0": 0x4000}, False),
        ("sfence.vma a0, a1", {}, True),
        ("sfence.vma a0, a1", {"a1": 8}, False),
        ("sfence.vma zero, a1", {"a1": 8}, False),
        ("hfence.vvma a0, a1", {}, False),
        ("hfence.gvma zero, zero", {}, False),
    ],
)
def test_a_fence_reaches_what_its_operands_name(text: str, registers: dict[str, int], reaches: bool) -> None:
    found = done(text, **registers)
    assert told(found) == (ALL_OF_IT if reaches else [(INVALIDATE, False)]), "what it does not reach it orders neither"


def test_a_fence_of_one_address_space_leaves_what_is_global() -> None:
    assert told(done("sfence.vma a0, a1", flags=V | R | W | G | AD)) == [(INVALIDATE, False)]
    assert told(done("sfence.vma a0", flags=V | R | W | G | AD)) == ALL_OF_IT


def test_a_fence_of_an_address_is_about_leaves_alone() -> None:
    assert all(each.leaves_only for each in done("sfence.vma a0"))
    assert not any(each.leaves_only for each in done("sfence.vma zero, a1"))


def test_an_operand_that_was_overwritten_is_not_known() -> None:
    assert told(done("sfence.vma a0", "lr.d a0, (a1)"))[0][1] is None
    assert told(done("sfence.vma a0", "addi a1, a1, 8")) == ALL_OF_IT


def test_svinval_needs_all_three_of_its_steps() -> None:
    whole = done("sfence.w.inval", "sinval.vma a0, zero", "sfence.inval.ir")
    assert told(whole) == ALL_OF_IT
    unordered = done("sfence.w.inval", "sinval.vma a0, zero")
    assert told(unordered) == [(INVALIDATE, False), (WAIT, None)], "no SFENCE.INVAL.IR makes the invalidation be seen"
    assert unordered[0].instead == "had no sfence.inval.ir behind it"
    unwaited = done("sinval.vma a0, zero", "sfence.inval.ir")
    assert [deed for deed, _ in told(unwaited)] == [SYNCHRONIZE, INVALIDATE], "no store before it has been waited for"
    assert unwaited[1].needs == "sfence.w.inval"


def test_a_fence_of_memory_orders_no_walk() -> None:
    assert done("fence rw, rw") == []
    assert done("fence.i") == []


@pytest.mark.parametrize(("text", "target"), [("sd a2, -8(a5)", 0x5000), ("sw a2, 16(a5)", 0x5018)])
def test_a_store_has_its_target_while_its_base_is_known(text: str, target: int) -> None:
    (store,) = done(text, "c.nop")
    assert (store.deed, store.target, store.address) == (STORE, target, END - 6)
    assert done(text, "lw a5, 2047(s0)") == []


def test_a_store_before_a_jump_is_none_of_this_code() -> None:
    assert done("sd a2, -8(a5)", "c.j .+8", "nop") == []


def test_a_hypervisor_fences_its_guests_translations_and_a_guest_its_own() -> None:
    hart = guest(V | R | W | AD)
    register = reader({**hart.regs, "a0": 0, "a1": 0})
    about = walk(hart.architecture.regime_for(register, VA(0), "vs"), VA(0), hart.read)

    def reached(text: str, regime: str) -> bool | None:
        found = hart.architecture.exceptions.effects(code(*PADDING, text), END, register, regime, about)
        return next(each.reaches for each in found if each.deed is INVALIDATE)

    assert reached("sfence.vma", "vs") is True
    assert reached("sfence.vma", "s") is False
    assert reached("hfence.vvma a0, a1", "s") is True
    assert reached("hfence.gvma zero, zero", "s") is False, "which leaves the guest's own stage as it was"


@pytest.mark.parametrize(
    ("text", "registers", "reaches", "instead"),
    [
        ("hfence.gvma zero, zero", {}, True, ""),
        ("hfence.gvma a0, zero", {"a0": 0x3ABC >> 2}, True, ""),
        ("hfence.gvma a0, zero", {"a0": 0x4000 >> 2}, False, ""),
        # The address itself, as nobody but the other fences has it.
        ("hfence.gvma a0, zero", {"a0": 0x3ABC}, False, ""),
        ("hinval.gvma a0, a1", {"a0": 0x3000 >> 2, "a1": 5}, False, "had no sfence.inval.ir behind it"),
        ("hinval.gvma a0, a1", {"a0": 0x3000 >> 2, "a1": 6}, False, "was of VMID 6, and hgatp has 5"),
        ("hfence.vvma a0, zero", {"a0": 0}, False, "was of the VS-stage"),
        ("sfence.vma", {}, False, "was of satp"),
    ],
)
def test_a_fence_of_the_g_stage_has_an_address_shifted_by_two_and_a_vmid(
    text: str, registers: dict[str, int], reaches: bool, instead: str
) -> None:
    hart = guest(V | R | W | AD)
    hart.regs["hgatp"] |= 5 << 44
    register = reader({**hart.regs, "priv": 1, "virt": 0, **registers})
    about = walk(hart.architecture.regime_for(register, VA(0), "vs"), VA(0), hart.read).below
    assert about is not None
    assert about.input == 0x3000
    found = hart.architecture.exceptions.effects(code(*PADDING, text), END, register, "s", about)
    (invalidation,) = [each for each in found if each.deed is INVALIDATE]
    assert (invalidation.reaches, invalidation.instead) == (reaches, instead)


def test_registers_that_the_source_lacks_make_nothing_up() -> None:
    hart = paged(V | R | W | AD)

    def register(name: str) -> int:
        if name.startswith("a"):
            raise Unavailable(name)
        return hart.regs[name]

    about = walk(hart.architecture.regime_for(reader(hart.regs), VA(0)), VA(0), hart.read)
    found = hart.architecture.exceptions.effects(
        code(*PADDING, "sd a2, -8(a5)", "sfence.vma a0"), END, register, "s", about
    )
    assert [each.reaches for each in found if each.deed is INVALIDATE] == [None]
    assert not [each for each in found if each.deed is STORE]
