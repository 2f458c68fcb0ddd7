"""Instructions of x86-64: how long each is, what it writes, and what code before an access did for a translation."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from gdbtools.addresses import VA
from gdbtools.arch.instruction_effects import Effect, EffectKind
from gdbtools.arch.model import with_memory
from gdbtools.arch.walk import walk
from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.arch.x86_64.instructions.decoding import LONGEST_BYTES, REGISTERS, decode
from gdbtools.arch.x86_64.instructions.destinations import ALL, LeadsElsewhere, written
from gdbtools.arch.x86_64.instructions.effects import instructions, recent, store
from gdbtools.machine.symbols import symbol_values
from tests.places import ROOT
from tests.tables import reader

CODE = {
    "mov %rdx,(%rsi)": "48 89 16",
    "mov %rdx,-0x8(%rsi,%rcx,8)": "48 89 54 ce f8",
    "movq $0x0,0x10(%rsi)": "48 c7 46 10 00 00 00 00",
    "movl $0x0,(%rdi)": "c7 07 00 00 00 00",
    "orq $0x2,(%rsi)": "48 83 0e 02",
    "lock btrq $0x0,(%rsi)": "f0 48 0f ba 36 00",
    "lock cmpxchg %rdx,(%rsi)": "f0 48 0f b1 16",
    "xchg %rax,(%rsi)": "48 87 06",
    "mov %rdx,0x100(%rip)": "48 89 15 00 01 00 00",
    "mov %rdx,%gs:(%rsi)": "65 48 89 16",
    "mov %dl,0x1(%rsi)": "88 56 01",
    "movnti %rdx,(%rsi)": "48 0f c3 16",
    "cmpq $0x0,(%rsi)": "48 83 3e 00",
    "mov (%rsi),%rdx": "48 8b 16",
    "invlpg (%rdi)": "0f 01 3f",
    "invlpg 0x1000(%rdi)": "0f 01 bf 00 10 00 00",
    "mov %rcx,%cr3": "0f 22 d9",
    "mov %rcx,%cr4": "0f 22 e1",
    "invpcid (%rcx),%rax": "66 0f 38 82 01",
    "invpcid (%rcx),%r8": "66 44 0f 38 82 01",
    "xor %eax,%eax": "31 c0",
    "mov %rax,%rsi": "48 89 c6",
    "lea 0x8(%rsi),%rsi": "48 8d 76 08",
    "xadd %rsi,(%rsi)": "48 0f c1 36",
    "call": "e8 fb ff ff ff",
    "ret": "c3",
    "jmp": "eb fe",
    "je": "74 fe",
    "nop": "90",
    "nopw 0x0(%rax,%rax,1)": "66 0f 1f 04 00",
    "wbinvd": "0f 09",
    "cpuid": "0f a2",
    "popf": "9d",
    "movabs $0x123456789abcdef0,%rax": "48 b8 f0 de bc 9a 78 56 34 12",
    "invlpgb": "0f 01 fe",
    "vzeroupper": "c5 f8 77",
    "vmovdqu (%rdi),%ymm0": "c5 fe 6f 07",
    "testl $0x1,(%rdi)": "f7 07 01 00 00 00",
    "push (%rax)": "ff 30",
}
"""As the GNU assembler has them."""
WORDS = {text: bytes.fromhex(code) for text, code in CODE.items()}


@pytest.mark.parametrize("text", WORDS)
def test_an_instruction_is_as_long_as_it_is(text: str) -> None:
    found = decode(WORDS[text] + bytes(LONGEST_BYTES))
    assert found is not None
    assert found.size_bytes == len(WORDS[text])
    assert decode(WORDS[text][:-1]) is None, "one that is cut short is none"


@pytest.mark.parametrize("code", ["06", "9a 00 00 00 00 00 00", "0f 04", "ea", f"{'66 ' * 15}90", f"{'66 ' * 14}0f 0b"])
def test_what_64_bit_mode_does_not_have_is_none(code: str) -> None:
    assert decode(bytes.fromhex(code) + bytes(LONGEST_BYTES)) is None


def test_the_disassembler_of_binutils_agrees_about_each_length() -> None:
    objdump = shutil.which("x86_64-linux-gnu-objdump")
    if objdump is None:
        pytest.skip("x86_64-linux-gnu-objdump is not installed; on Debian: apt-get install binutils-x86-64-linux-gnu")
    guest = ROOT / "fixtures/guests/x86/verdicts/verdicts.elf"
    # Behind what is of 16 and 32 bits, on the way up.
    first = symbol_values(guest)["long_mode"]
    listing = [objdump, "-d", "--insn-width=16", f"--start-address={first:#x}", str(guest)]
    said = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^ *[0-9a-f]+:\t((?:[0-9a-f]{2} )+) *\t", said, re.MULTILINE)
    codes = [bytes.fromhex(each) for each in listed]
    found = [decode(code + bytes(LONGEST_BYTES)) for code in codes]
    assert [each and each.size_bytes for each in found] == [len(code) for code in codes]
    assert len(codes) > 300


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mov %rdx,(%rsi)", "mov"),
        ("orq $0x2,(%rsi)", "or"),
        ("lock btrq $0x0,(%rsi)", "lock btr"),
        ("lock cmpxchg %rdx,(%rsi)", "lock cmpxchg"),
        ("xchg %rax,(%rsi)", "xchg"),
        ("movnti %rdx,(%rsi)", "movnti"),
        ("cmpq $0x0,(%rsi)", ""),
        ("testl $0x1,(%rdi)", ""),
        ("mov (%rsi),%rdx", ""),
        ("mov %rax,%rsi", ""),
    ],
)
def test_what_writes_memory_is_told_from_what_reads_it(text: str, name: str) -> None:
    found = decode(WORDS[text])
    assert found is not None
    assert store(found) == name


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("mov %rdx,(%rsi)", ""),
        ("mov (%rsi),%rdx", "rdx"),
        ("xor %eax,%eax", "rax"),
        ("mov %rax,%rsi", "rsi"),
        ("xadd %rsi,(%rsi)", "rsi"),
        ("lock cmpxchg %rdx,(%rsi)", "rax"),
        ("xchg %rax,(%rsi)", "rax"),
        ("push (%rax)", "rsp"),
        ("cpuid", "rax rbx rcx rdx"),
        ("mov %rcx,%cr3", ""),
        ("invlpg (%rdi)", ""),
        ("je", ""),
        ("movabs $0x123456789abcdef0,%rax", "rax"),
    ],
)
def test_which_registers_an_instruction_writes(text: str, names: str) -> None:
    found = decode(WORDS[text])
    assert found is not None
    assert {REGISTERS[number] for number in written(found)} == set(names.split())


def test_what_is_not_known_well_writes_all_of_them_and_what_leads_elsewhere_ends_it() -> None:
    vector = decode(WORDS["vmovdqu (%rdi),%ymm0"])
    assert vector is not None
    assert written(vector) == ALL
    for text in ("call", "ret", "jmp"):
        found = decode(WORDS[text])
        assert found is not None
        with pytest.raises(LeadsElsewhere):
            written(found)


def test_where_instructions_begin_is_what_all_ways_of_reading_have_in_common() -> None:
    code = b"".join(
        WORDS[text] for text in ("nop", "movabs $0x123456789abcdef0,%rax", "mov %rdx,(%rsi)", "invlpg (%rdi)")
    )
    found = instructions(bytes(range(0x80, 0x90)) + code)
    assert [offset - 16 for offset, _ in found][-2:] == [11, 14]
    assert instructions(b"\x48") == []


# --- Effects.

PAGE, TABLES, ENTRY = 0x4000, 0x5000, 0x5020
P, RW, US, G, PCIDE, PGE = 1, 2, 4, 1 << 8, 1 << 17, 1 << 7


def machine(leaf: int = 0, **registers: int) -> Any:
    """Return registers with memory: the first 64 KiB are mapped to themselves, cr3 has PCID 1."""
    memory = bytearray(0x10000)
    for pa, words in {0x1000: [0x2003], 0x2000: [0x3003], 0x3000: [0x5003]}.items():
        memory[pa : pa + 8] = struct.pack("<Q", words[0])
    memory[0x5000:0x5080] = struct.pack(
        "<16Q", *(page << 12 | P | RW | (leaf if page == 4 else 0) for page in range(16))
    )
    memory[0x6000:0x6010] = struct.pack("<QQ", 2, PAGE)
    values = {
        "cr0": 0x8001_0001, "cr3": 0x1001, "cr4": 0x20 | PCIDE | PGE, "efer": 0xD00, "cs": 0x10, "rip": 0x7000,
        "rsi": ENTRY, "rdi": PAGE, "rcx": 0x6000, "rax": 0, "rdx": 0, "r8": 2, "gs_base": 0x1000,
    }  # fmt: skip
    return with_memory(reader({**values, **registers}), lambda pa, size: bytes(memory[pa : pa + size]))


def done(*texts: str, leaf: int = 0, **registers: int) -> tuple[Effect, ...]:
    """Return what code does that ends in these instructions, the latest first."""
    register = machine(leaf, **registers)
    about = walk(X86_64.regime_for(register, VA(PAGE)), VA(PAGE), register.read)
    assert about.leaf is not None
    assert about.leaf.pa == ENTRY
    code = WORDS["nop"] * 16 + b"".join(WORDS[text] for text in texts)
    return recent(code, VA(0x8000), register, about)


STORES = "mov %rdx,(%rsi)"


def test_a_store_is_seen_by_walks_of_its_own_cpu_without_a_barrier() -> None:
    deeds = [(each.deed, each.target) for each in done(STORES)]
    assert deeds == [(EffectKind.SYNCHRONIZE, None), (EffectKind.WAIT, None), (EffectKind.STORE, ENTRY)]
    (*_, stored) = done(STORES, "nop", "je")
    assert (stored.address, stored.text) == (0x8000 - 6, "mov")


@pytest.mark.parametrize(
    ("text", "registers", "target"),
    [
        ("mov %rdx,-0x8(%rsi,%rcx,8)", {"rcx": 1}, ENTRY),
        ("mov %dl,0x1(%rsi)", {}, ENTRY),
        ("mov %rdx,%gs:(%rsi)", {"rsi": ENTRY - 0x1000}, ENTRY),
        ("lock btrq $0x0,(%rsi)", {}, ENTRY),
        ("mov %rdx,0x100(%rip)", {}, 0x8100),
    ],
)
def test_where_a_store_leads(text: str, registers: Mapping[str, int], target: int) -> None:
    assert done(text, **registers)[-1].target == target


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("invlpg (%rdi)", "[rdi]"),
        ("mov %rdx,-0x8(%rsi,%rcx,8)", "[rsi+rcx*8-0x8]"),
        ("mov %rdx,0x100(%rip)", "[rip+0x100]"),
        ("mov %rdx,%gs:(%rsi)", "gs:[rsi]"),
        ("nopw 0x0(%rax,%rax,1)", "[rax+rax*1]"),
    ],
)
def test_an_operand_is_written_as_the_manual_has_it(text: str, shown: str) -> None:
    found = decode(WORDS[text])
    assert found is not None
    assert found.memory is not None
    assert found.memory.text == shown


@pytest.mark.parametrize("after", ["mov %rax,%rsi", "lea 0x8(%rsi),%rsi", "vmovdqu (%rdi),%ymm0"])
def test_what_a_register_was_before_it_was_written_nobody_knows(after: str) -> None:
    assert [each for each in done(STORES, after) if each.deed is EffectKind.STORE] == []
    assert [each for each in done("xadd %rsi,(%rsi)") if each.deed is EffectKind.STORE] == []


@pytest.mark.parametrize("between", ["call", "ret", "jmp"])
def test_code_that_leads_elsewhere_is_looked_behind_no_further(between: str) -> None:
    assert done(STORES, between, "nop") == ()


@pytest.mark.parametrize(
    ("text", "shown", "registers", "leaf", "reaches", "instead"),
    [
        ("invlpg (%rdi)", "invlpg [rdi]", {}, 0, True, ""),
        ("invlpg (%rdi)", "invlpg [rdi]", {}, G, True, ""),
        ("invlpg 0x1000(%rdi)", "invlpg [rdi+0x1000]", {}, 0, False, ""),
        ("mov %rcx,%cr3", "mov cr3, rcx", {"rcx": 0x1001}, 0, True, ""),
        ("mov %rcx,%cr3", "mov cr3, rcx", {"rcx": 0x1001}, G, False, "leaves what is global, and the page is"),
        (
            "mov %rcx,%cr3",
            "mov cr3, rcx",
            {"rcx": 0x1001 | 1 << 63},
            0,
            False,
            "had bit 63 set, which keeps everything",
        ),
        ("mov %rcx,%cr3", "mov cr3, rcx", {"rcx": 0x1003}, 0, False, "was of PCID 0x3, and cr3 has 0x1"),
        ("mov %rcx,%cr3", "mov cr3, rcx", {"rcx": 0x1000, "cr3": 0x1000, "cr4": 0x20}, 0, True, ""),
        ("mov %rcx,%cr4", "mov cr4, rcx", {}, 0, None, ""),
        ("invlpgb", "invlpgb", {}, 0, None, ""),
        ("invpcid (%rcx),%r8", "invpcid r8, [rcx]", {}, G, True, ""),
        ("invpcid (%rcx),%rax", "invpcid rax, [rcx]", {"rax": 3}, G, False, "leaves what is global, and the page is"),
        ("invpcid (%rcx),%rax", "invpcid rax, [rcx]", {"rax": 3}, 0, True, ""),
        ("invpcid (%rcx),%rax", "invpcid rax, [rcx]", {"rax": 0}, 0, False, "was of PCID 0x2, and cr3 has 0x1"),
        ("invpcid (%rcx),%rax", "invpcid rax, [rcx]", {"rax": 1, "cr3": 0x1002}, 0, True, ""),
        ("invpcid (%rcx),%rax", "invpcid rax, [rcx]", {"rax": 0, "cr3": 0x1002, "rcx": 0x7000}, 0, False, ""),
    ],
)
def test_how_far_an_invalidation_reaches(
    text: str, shown: str, registers: Mapping[str, int], leaf: int, reaches: bool | None, instead: str
) -> None:
    (found,) = done(text, leaf=leaf, **registers)
    assert (found.deed, found.text, found.reaches, found.instead) == (
        EffectKind.INVALIDATE, shown, reaches, instead,
    )  # fmt: skip


def test_an_operand_that_is_not_known_any_more_leaves_it_open() -> None:
    (found,) = done("invpcid (%rcx),%rax", "xor %eax,%eax")
    assert found.reaches is None
    (found,) = done("mov %rcx,%cr3", "cpuid", rcx=0x1001)
    assert found.reaches is None
