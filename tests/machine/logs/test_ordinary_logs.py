"""`explain`: what a system prints when it boots, and what somebody writes about crashes, is no crash."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from gdbtools.machine.dumps.crash_text import CrashText, crashes_of
from gdbtools.systems import crash_grammars
from tests.places import ROOT

BOOTS: Final = sorted((ROOT / "fixtures/logs/boots").glob("*.txt"))
"""What kernels printed in QEMU as they booted, to where a shell is ready."""
_NUMBER: Final = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,16}\b|\d+")


class Repeated(io.RawIOBase):
    """Boots one after another, with other numbers in each, as long as they last."""

    def __init__(self, size_bytes: int, seed: int) -> None:
        self.left = size_bytes
        self.blocks = self._blocks(random.Random(seed))
        self.rest = b""

    def _blocks(self, chance: random.Random) -> Iterator[bytes]:
        texts = [path.read_text() for path in BOOTS]

        def other(found: re.Match[str]) -> str:
            digits = "0123456789abcdef" if re.search("[a-fx]", found[0]) else "0123456789"
            begins = 2 if found[0].startswith("0x") else 0
            return found[0][:begins] + "".join(chance.choice(digits) for _ in found[0][begins:])

        changed = [_NUMBER.sub(other, text).encode() for text in texts]
        while True:
            yield chance.choice(changed)

    def read(self, size: int = -1) -> bytes:
        while len(self.rest) < size:
            self.rest += next(self.blocks)
        taken, self.rest = self.rest[: min(size, self.left)], self.rest[size:]
        self.left -= len(taken)
        return taken


def crashes(size_bytes: int, seed: int) -> list[str]:
    return [crash.title for crash in crashes_of(CrashText(Repeated(size_bytes, seed)))]  # type: ignore[arg-type]


def test_there_are_boots_of_several_kernels_and_architectures() -> None:
    assert len(BOOTS) >= 4
    assert all("Linux version" in path.read_text() for path in BOOTS)


@pytest.mark.parametrize("path", BOOTS, ids=lambda path: path.stem)
def test_a_boot_is_no_crash(path: Path) -> None:
    assert not crashes_of(CrashText(io.BytesIO(path.read_bytes())))


def test_megabytes_of_boots_with_other_numbers_have_no_crash() -> None:
    assert crashes(4 << 20, 1) == []


@pytest.mark.full
def test_fifty_megabytes_of_boots_have_no_crash() -> None:
    assert crashes(50 << 20, 2) == []


MENTIONS: Final = (
    "The log said `Unable to handle kernel paging request`, so I bisected it.",
    "Has anybody seen Unable to handle kernel NULL pointer dereference at virtual address? It is not in my log.",
    "* Fix an Internal error: Oops that was seen with 16k pages (closes: #1012345)",
    "commit 1a2b3c: arm64: mm: print pgtable: and ESR = only once",
    "After the double fault there was nothing on the console; a general protection fault came later.",
    "kernel.panic_on_oops = 1, and Kernel panic - what then?",
    "audit: type=1400 msg=Data Abort Trap is no word of ours",
    "grep -n 'BUG: unable to handle' /var/log/kern.log",
    "Walking Hypervisor VA needs a debug build.",
    "ESR = EL1's syndrome register, see the manual",
    "unhandled 5 events; init[1]: unhandled request",
)


@pytest.mark.parametrize("mention", MENTIONS)
@pytest.mark.parametrize("prefix", ["", "[    1.234567] ", "> ", "Nov 27 22:15:36 board app[12]: "])
def test_words_in_a_sentence_are_no_crash(mention: str, prefix: str) -> None:
    text = "\n".join([f"{prefix}booting", f"{prefix}{mention}", f"{prefix}and on"]) + "\n"
    assert not crashes_of(CrashText(io.BytesIO(text.encode())))


def test_every_sign_in_a_sentence_is_no_crash() -> None:
    # What is all a banner is no word of anybody's sentence.
    signs = [sign for each in crash_grammars() for sign in each.signs if "!!!" not in sign]
    text = "".join(f"[    1.0] somebody wrote of {sign.strip(' :.')} in a mail\n" for sign in signs)
    assert not crashes_of(CrashText(io.BytesIO(text.encode())))
