"""The committed guests are what their sources build, where the compiler is the one that built them."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from gdbtools.repl.demo import files

COMPILER = "aarch64-linux-gnu-gcc"
GUESTS = files().guest.parent.parent
BUILT = sorted(GUESTS.glob("*/*.elf"))


@cache
def built_by() -> str:
    """Return the compiler that is named in the guest that has C in it."""
    with files().guest.open("rb") as stream:
        comment = ELFFile(stream).get_section_by_name(".comment")
        assert comment is not None
        return bytes(comment.data()).split(b"\0")[0].decode()


@cache
def at_hand() -> str:
    """Return this system's compiler as it would name itself, or an empty string."""
    if shutil.which(COMPILER) is None:
        return ""
    said = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True).stdout
    return f"GCC: {re.sub(r'^[^(]*', '', said.splitlines()[0])}"


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not at_hand():
        pytest.skip(f"{COMPILER} is not installed; install it: apt-get install gcc-aarch64-linux-gnu")
    if at_hand() != built_by():
        pytest.skip(f"the committed guests were built by {built_by()}, and here is {at_hand()}")
    folder = tmp_path_factory.mktemp("rebuilt")
    subprocess.run(["make", "-C", str(GUESTS), f"OUT={folder}"], capture_output=True, check=True)
    return folder


@pytest.mark.parametrize("guest", BUILT, ids=lambda guest: guest.stem)
def test_a_guest_is_what_its_sources_build(rebuilt: Path, guest: Path) -> None:
    assert (rebuilt / guest.relative_to(GUESTS)).read_bytes() == guest.read_bytes()
