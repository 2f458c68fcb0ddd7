"""Binutils for AArch64: words from assembler text and, independently of this project, text from words."""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

ASSEMBLER, DISASSEMBLER = "aarch64-linux-gnu-as", "aarch64-linux-gnu-objdump"
ARCHITECTURE = ".arch armv9.3-a+sve2+sme+memtag+rng+ls64+mops+hbc+sb+ssbs+profile+predres+flagm"
ENCODINGS = {
    "TCR2_EL1": "S3_0_C2_C0_3",
    "TCR2_EL2": "S3_4_C2_C0_3",
    "SCTLR2_EL1": "S3_0_C1_C0_3",
    "PIR_EL1": "S3_0_C10_C2_3",
    "PIRE0_EL1": "S3_0_C10_C2_2",
    "HAFGRTR_EL2": "S3_4_C3_C1_6",
    "GCSCR_EL1": "S3_0_C2_C5_0",
    "GCSPR_EL1": "S3_0_C2_C5_1",
    "GCSCRE0_EL1": "S3_0_C2_C5_2",
    "GCSPR_EL0": "S3_3_C2_C5_1",
    "ID_AA64MMFR3_EL1": "S3_0_C0_C7_3",
    "ID_AA64MMFR4_EL1": "S3_0_C0_C7_4",
    "ID_AA64ISAR3_EL1": "S3_0_C0_C6_3",
    "ID_AA64PFR2_EL1": "S3_0_C0_C4_2",
    "VNCR_EL2": "S3_4_C2_C2_0",
    "GPCCR_EL3": "S3_6_C2_C1_6",
    "GPTBR_EL3": "S3_6_C2_C1_4",
}
"""Names that binutils 2.40 does not know."""


@dataclass(frozen=True)
class Code:
    """What the assembler made of a text: its words, the offset of the label `here`, and each word disassembled."""

    words: tuple[int, ...]
    here: int
    text: tuple[str, ...]


def assemble(sources: Sequence[str]) -> list[Code]:
    """Make words of texts; what binutils do not know by name goes in as S3_x_Cx_Cx_x."""
    lines = [ARCHITECTURE]
    for number, source in enumerate(sources):
        named = re.sub(r"\w+", lambda word: ENCODINGS.get(word[0].upper(), word[0]), source)
        lines += [f"case.{number}:", re.sub(r"\bhere\b", f"here.{number}", named)]
    with tempfile.TemporaryDirectory(prefix="gdbtools-syndromes-") as folder:
        text, built = Path(folder) / "cases.s", Path(folder) / "cases.o"
        text.write_text("\n".join([*lines, f"case.{len(sources)}:", ""]))
        subprocess.run([ASSEMBLER, "--no-warn", text, "-o", built], check=True)
        said = subprocess.run([DISASSEMBLER, "-d", "-z", built], check=True, capture_output=True, text=True).stdout
        with built.open("rb") as stream:
            elf = ELFFile(stream)
            symbols = {each.name: each["st_value"] for each in elf.get_section_by_name(".symtab").iter_symbols()}
            data = elf.get_section_by_name(".text").data()
    texts = {int(at, 16): text for at, text in re.findall(r"^ *([0-9a-f]+):\t[0-9a-f]{8} \t(.*)$", said, re.MULTILINE)}
    codes = []
    for number in range(len(sources)):
        start, end = symbols[f"case.{number}"], symbols[f"case.{number + 1}"]
        words = struct.unpack(f"<{(end - start) // 4}I", data[start:end])
        here = symbols.get(f"here.{number}", start) - start
        codes.append(Code(words, here, tuple(texts[at].strip() for at in range(start, end, 4))))
    return codes


def disassemble(words: Sequence[int]) -> list[str]:
    """Return what binutils make of each word."""
    with tempfile.NamedTemporaryFile(prefix="gdbtools-words-") as file:
        file.write(struct.pack(f"<{len(words)}I", *words))
        file.flush()
        command = [DISASSEMBLER, "-D", "-b", "binary", "-m", "aarch64", "-z", file.name]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.findall(r"^ *[0-9a-f]+:\t[0-9a-f]{8} \t(.*)$", said, re.MULTILINE)
