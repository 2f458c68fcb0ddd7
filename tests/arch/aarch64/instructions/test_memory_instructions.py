"""What an instruction does to memory, against binutils: which are loads and stores, and their text.

The words are drawn anew in each run; the seed is in the message of what fails.
"""

from __future__ import annotations

import re
import shutil
from random import Random, SystemRandom

import pytest

from gdbtools.arch.aarch64.instructions.classes import is_always_defined, text
from gdbtools.arch.aarch64.instructions.memory_instructions import GROUPS, memory_access
from gdbtools.arch.model import AccessKind
from tests.guests.assembly import DISASSEMBLER, disassemble

SEED = SystemRandom().randrange(1, 1 << 32)
WORDS_OF_EACH = 400
MEMORY = re.compile(r"(ld|st|swp|cas|cpy|set[pmeg]|dc|ic|at)(?!f\d)")
"""Mnemonics of what accesses memory."""
NO_MEMORY = re.compile(r"setf|prf|dcps")
READS, WRITES = (
    re.compile(r"ld(?!add|clr|eor|set|[su]m(in|ax))"),
    re.compile(r"st(?!add|clr|eor|set|[su]m(in|ax)|64bv|g|z)"),
)
"""Loads and stores that go one way."""
SHORT = re.compile(
    r"(ld[1-4]|st[1-4]|ldra|st64b|st(add|clr|eor|set|[su]m)|ldff|ldn[ft]1|stnt1|.*pc|ic iall|cpy|set|.*g)"
)
"""What is said shorter here: structures, authenticated loads, stores that are loads into the zero register."""

pytestmark = pytest.mark.skipif(
    shutil.which(DISASSEMBLER) is None,
    reason=f"{DISASSEMBLER} is not installed: apt-get install binutils-aarch64-linux-gnu",
)


def drawn() -> list[tuple[int, str]]:
    """Return words of every group, and any, with what binutils call them; what they do not know is left out."""
    random = Random(SEED)
    words = [random.getrandbits(32) for _ in range(2000)]
    for encoding, _ in GROUPS:
        words += [random.getrandbits(32) & ~encoding.mask | encoding.match for _ in range(WORDS_OF_EACH)]
    named = zip(words, disassemble(words), strict=True)
    return [(word, said) for word, said in named if not re.match(r"\.inst|udf|sys", said) and "undefined" not in said]


def plain(said: str) -> str:
    said = re.sub(r"\s+", " ", said.partition("//")[0].strip().lower())
    return re.sub(r"0x[0-9a-f]+", lambda number: str(int(number[0], 16)), said)


def test_what_accesses_memory_and_which_way_is_what_binutils_say() -> None:
    found = drawn()
    assert len(found) > 3000
    for word, said in found:
        mnemonic, access = said.split()[0], memory_access(word)
        shown = f"{word:#010x} {said} {access} (seed {SEED})"
        if mnemonic.startswith("prf"):
            continue
        assert (access is not None) == bool(MEMORY.match(mnemonic) and not NO_MEMORY.match(mnemonic)), shown
        if access is None or re.match(r"ldapp|.*za|.*\{za", said) or "za" in said:
            continue
        if READS.match(mnemonic):
            assert AccessKind.READ in access.kinds, shown
        if WRITES.match(mnemonic):
            assert AccessKind.WRITE in access.kinds, shown
        one_way = re.match(r"(ldr|ldur|ldtr|ldp|ldnp|ldx|ldar|ldapu?r|str|stur|sttr|stp|stnp|stx|stlr|stlur)", mnemonic)
        if one_way:
            way = AccessKind.READ if mnemonic.startswith("ld") else AccessKind.WRITE
            assert access.kinds == {way}, shown


def test_the_text_of_a_load_or_store_of_general_registers_is_the_assemblers() -> None:
    compared = 0
    for word, said in drawn():
        access = memory_access(word)
        if access is None or access.text.startswith(("a ", "an ", "0x")) or SHORT.match(plain(said)):
            continue
        if re.match(r"ldr(sw)? \w+, (0x|-?\d)", re.sub(r"\s+", " ", said)):
            continue  # relative to the pc, which no word has
        assert plain(access.text) == plain(said), f"{word:#010x} (seed {SEED})"
        compared += 1
    assert compared > 1500


def test_what_is_always_defined_is_an_instruction() -> None:
    random = Random(SEED)
    words = [word for word in (random.getrandbits(32) for _ in range(60_000)) if is_always_defined(word)]
    assert len(words) > 3000
    for word, said in zip(words, disassemble(words), strict=True):
        assert "undefined" not in said, f"{word:#010x} {said} (seed {SEED})"
        assert not said.startswith(".inst"), f"{word:#010x} {said} (seed {SEED})"


def test_exception_generating_and_system_instructions_have_their_names() -> None:
    words = {
        0xD4000001: "SVC #0x0", 0xD4207D00: "BRK #0x3e8", 0xD503207F: "WFI", 0xD503201F: "NOP", 0xD69F03E0: "ERET",
        0xD5381003: "MRS X3, SCTLR_EL1", 0xF9400020: "LDR X0, [X1]", 0x14000000: "B", 0xD61F0200: "BR X16",
    }  # fmt: skip
    assert {word: text(word) for word in words} == words
