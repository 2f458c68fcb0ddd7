"""The committed guests are what their sources build, where the compiler is the one that built them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from gdbtools.repl.demo import files

COMPILER = "aarch64-linux-gnu-gcc"
GUESTS = files().guest.parent.parent
BUILT = sorted(GUESTS.glob("*/*.elf"))
OTHERS = {"riscv": "riscv64-linux-gnu-gcc", "x86": "x86_64-linux-gnu-gcc", "arm": "arm-none-eabi-gcc"}
"""By the folder of their guests, the compilers of the other architectures."""
OTHERS_BUILT = [each for folder in OTHERS for each in sorted(GUESTS.glob(f"{folder}/*/*.elf"))]


@cache
def built_by(guest: Path) -> str:
    """Return the compiler that a guest names: its whole name by C, its version alone by an .ident of assembly."""
    with guest.open("rb") as stream:
        comment = ELFFile(stream).get_section_by_name(".comment")
        assert comment is not None
        return next(each.decode() for each in bytes(comment.data()).split(b"\0") if each)


@cache
def at_hand(compiler: str = COMPILER) -> str:
    """Return this system's compiler as it would name itself, or an empty string."""
    if shutil.which(compiler) is None:
        return ""
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    return f"GCC: {re.sub(r'^[^(]*', '', said.splitlines()[0])}"


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not at_hand():
        pytest.skip(f"{COMPILER} is not installed; install it: apt-get install gcc-aarch64-linux-gnu")
    if at_hand() != built_by(files().guest):
        pytest.skip(f"the committed guests were built by {built_by(files().guest)}, and here is {at_hand()}")
    folder = tmp_path_factory.mktemp("rebuilt")
    subprocess.run(["make", "-C", str(GUESTS), f"OUT={folder}"], capture_output=True, check=True)
    return folder


@pytest.mark.parametrize("guest", BUILT, ids=lambda guest: guest.stem)
def test_a_guest_is_what_its_sources_build(rebuilt: Path, guest: Path) -> None:
    assert (rebuilt / guest.relative_to(GUESTS)).read_bytes() == guest.read_bytes()


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what builds the guests of another architecture, once, in a folder of their own."""

    @cache
    def build(folder: str) -> Path:
        compiler, built = OTHERS[folder], sorted(GUESTS.glob(f"{folder}/*/*.elf"))
        here = at_hand(compiler)
        if not here:
            triple = compiler.removesuffix("-gcc").replace("_", "-")
            pytest.skip(f"{compiler} is not installed; install it: apt-get install gcc-{triple}")
        # Of assembly alone there is no more than the version.
        if not all(built_by(each) in here for each in built):
            by = ", ".join({built_by(each) for each in built})
            pytest.skip(f"the committed guests in {folder}/ were built by {by}, and here is {here}")
        made = tmp_path_factory.mktemp("rebuilt")
        subprocess.run(["make", "-C", str(GUESTS), folder, f"OUT={made}"], capture_output=True, check=True)
        return made

    return build


@pytest.mark.parametrize("guest", OTHERS_BUILT, ids=lambda guest: f"{guest.parent.parent.name}-{guest.stem}")
def test_a_guest_of_another_architecture_is_what_its_sources_build(others: Callable[[str], Path], guest: Path) -> None:
    made = others(guest.parent.parent.name)
    assert (made / guest.relative_to(GUESTS)).read_bytes() == guest.read_bytes()
