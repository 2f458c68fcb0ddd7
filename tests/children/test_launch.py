"""`gdbtools run`: what it adds to a command line, and that QEMU takes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gdbtools.children.launch import explained, guest_words, plan, values
from gdbtools.errors import UsageError
from gdbtools.render.text import render
from tests.live.session import GUEST
from tests.places import ROOT
from tests.repl.conftest import GDBTOOLS

FOLDER = Path("/run/folder")
VIRT = ("qemu-system-aarch64", "-M", "virt", "-cpu", "max", "-m", "512M")
PLENTY = 1 << 40


def added(*words: str, room_bytes: int = PLENTY) -> str:
    made = plan(words, FOLDER, room_bytes)
    assert made.command[: len(words)] == words
    return " ".join(made.command[len(words) :])


def left_out(*words: str, room_bytes: int = PLENTY) -> str:
    (found,) = (each for each in plan(words, FOLDER, room_bytes).additions if "RAM" in each.what)
    return found.why


def test_a_plain_command_line_gets_all_four() -> None:
    assert added(*VIRT) == (
        "-S -gdb unix:/run/folder/gdb,server=on,wait=off "
        "-object memory-backend-file,id=gdbtools-ram,size=512M,mem-path=/run/folder/ram,share=on "
        "-machine memory-backend=gdbtools-ram -qmp unix:/run/folder/qmp,server=on,wait=off"
    )


def test_what_is_there_already_is_not_added() -> None:
    assert not added(*VIRT, "-S").startswith("-S")
    assert "-gdb" not in added(*VIRT, "-s")
    assert "-gdb" not in added(*VIRT, "--gdb", "tcp::4321")
    assert "-qmp" not in added(*VIRT, "-qmp", "stdio")


@pytest.mark.parametrize(
    ("words", "address", "socket"),
    [
        ((), "/run/folder/gdb", "/run/folder/gdb"),
        (("-s",), ":1234", None),
        (("-gdb", "tcp::4321"), ":4321", None),
        (("-gdb", "tcp:127.0.0.1:4321,server=on"), "127.0.0.1:4321", None),
        (("-gdb", "unix:/tmp/mine,server=on,wait=off"), "/tmp/mine", "/tmp/mine"),
    ],
)
def test_gdb_attaches_to_the_stub_that_there_is(words: tuple[str, ...], address: str, socket: str | None) -> None:
    made = plan((*VIRT, *words), FOLDER, PLENTY)
    assert made.address == address
    assert made.socket == (None if socket is None else Path(socket))


@pytest.mark.parametrize(
    ("size", "megabytes"), [("512", 512), ("512M", 512), ("2G", 2048), ("size=1g,slots=2", 1024), ("1048576k", 1024)]
)
def test_the_file_is_as_large_as_the_memory(size: str, megabytes: int) -> None:
    assert f"size={megabytes}M," in added("qemu-system-aarch64", "-machine", "virt,gic-version=3", "-m", size)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("qemu-system-aarch64", "-M", "raspi3b", "-m", "1G"), "known only for -M virt"),
        (("qemu-system-aarch64", "-M", "virt"), "does not say how much"),
        ((*VIRT, "-machine", "memory-backend=mine"), "a memory backend of its own"),
        ((*VIRT, "-numa", "node,memdev=mine"), "a memory backend of its own"),
        ((*VIRT, "-mem-path", "/dev/hugepages"), "a memory backend of its own"),
    ],
)
def test_memory_that_cannot_be_a_file_is_left_as_it_is_with_the_reason(words: tuple[str, ...], why: str) -> None:
    assert why in left_out(*words)
    assert "-object" not in added(*words)


def test_memory_that_has_no_room_is_left_as_it_is() -> None:
    assert "no room for 512MB" in left_out(*VIRT, room_bytes=511 << 20)
    assert "-object" in added(*VIRT, room_bytes=512 << 20)


@pytest.mark.parametrize("words", [("-nographic",), ("-serial", "stdio"), ("--serial", "mon:stdio")])
def test_a_console_at_the_terminal_is_said_to_be_shown_above_the_prompt(words: tuple[str, ...]) -> None:
    assert any(each.what == "console" for each in plan((*VIRT, *words), FOLDER, PLENTY).additions)
    assert not any("console" in each.what for each in plan(VIRT, FOLDER, PLENTY).additions)


def test_a_kernel_that_is_elf_gives_the_symbols() -> None:
    assert plan((*VIRT, "-kernel", str(GUEST)), FOLDER, PLENTY).elf == GUEST
    assert plan((*VIRT, "-kernel", str(ROOT / "README.md")), FOLDER, PLENTY).elf is None
    assert plan((*VIRT, "-kernel", "/nonexistent"), FOLDER, PLENTY).elf is None


def test_options_are_found_with_one_dash_and_with_two() -> None:
    assert values(("-a", "1", "--a", "2", "-b", "3"), "a") == ["1", "2"]


def test_each_addition_is_explained_in_eighty_columns() -> None:
    made = plan((*VIRT, "-nographic"), Path("/dev/shm/gdbtools-abcdefgh"), PLENTY)
    text = render(explained(made), width=80)
    assert max(map(len, text.splitlines())) <= 80
    together = "".join(text.split())
    for each in made.additions:
        assert all(word in together for word in each.words)
        assert " ".join(each.why.split()) in " ".join(text.split())


def test_our_guests_have_names() -> None:
    assert guest_words("access_flag")[-1] == str(GUEST)
    with pytest.raises(UsageError, match=r"there are access_flag, .*storm.*tlb"):
        guest_words("nosuch")


def test_a_guest_of_another_architecture_runs_on_its_qemu() -> None:
    words = guest_words("x86/spurious")
    assert words[:5] == ["qemu-system-x86_64", "-M", "pc", "-cpu", "max"]
    assert Path(words[-1]) == ROOT / "fixtures/guests/x86/spurious/spurious.elf"


@pytest.mark.parametrize("machine", [(), ("-M", "q35"), ("-machine", "pc-i440fx-7.2"), ("-M", "pc-q35-9.0,smm=off")])
def test_memory_of_a_pc_is_a_file_too_and_that_is_what_is_emulated_where_nobody_says(machine: tuple[str, ...]) -> None:
    assert "mem-path=/run/folder/ram" in added("qemu-system-x86_64", *machine, "-m", "512M")
    assert "-object" not in added("qemu-system-aarch64", "-m", "512M")


def test_a_machine_of_x86_whose_memory_is_not_known_to_be_one_is_left_as_it_is() -> None:
    assert left_out("qemu-system-x86_64", "-M", "microvm", "-m", "1G") == "left out: known only for -M pc and -M q35"


def test_nothing_to_run_says_what_to_write() -> None:
    with pytest.raises(UsageError, match="gdbtools run -- qemu-system-aarch64"):
        plan((), FOLDER, PLENTY)


def test_a_dry_run_starts_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    said = subprocess.run(
        [*GDBTOOLS, "run", "--dry-run", "--guest", "access_flag"], capture_output=True, text=True, check=True
    ).stdout
    folder = Path(said.partition("unix:")[2].partition("/gdb,")[0])
    assert folder.name.startswith("gdbtools-")
    assert not folder.exists()


@pytest.mark.guest
def test_qemu_takes_what_is_added_and_the_file_is_the_guest_s_memory(qemu: str) -> None:
    words = ["run", "--guest", "access_flag", "--nx", "-c", "status", "-c", "regs nosuch"]
    answered = subprocess.run([*GDBTOOLS, *words], capture_output=True, text=True, check=False, timeout=120)
    assert "RAM 0x40000000-0x47ffffff in file" in answered.stdout
    assert answered.returncode == 2


@pytest.mark.guest
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["qemu-system-aarch64", "-M", "nosuch"], "QEMU did not start: qemu-system-aarch64: unsupported machine type"),
        (["nosuchqemu", "-M", "virt"], "nosuchqemu is not installed"),
    ],
)
def test_a_qemu_that_does_not_start_says_why_in_one_line(qemu: str, words: list[str], said: str) -> None:
    run = ["run", "--nx", "-c", "status", "--", *words]
    answered = subprocess.run([*GDBTOOLS, *run], capture_output=True, text=True, check=False, timeout=120)
    assert answered.returncode == 3
    assert len(answered.stderr.splitlines()) == 1
    assert said in answered.stderr


def test_a_gdb_of_ours_sources_a_path_of_any_letters_in_any_locale(gdb_path: str, tmp_path: Path) -> None:
    root = tmp_path / "größe"
    for name in ("gdbtools", "gdbinit.d", "fixtures/guests/access_flag"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    words = ["run", "--nx", "--gdb", gdb_path, "--guest", "access_flag", "-c", "esr 0x96000006"]
    environment = {**os.environ, "LC_ALL": "C", "VIRTUAL_ENV": sys.prefix}
    command = [sys.executable, "-m", "gdbtools.cli", *words]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, timeout=120, check=False)
    assert "Data Abort" in ran.stdout, ran.stderr


def test_a_boot_rom_that_is_not_installed_comes_with_what_to_do(qemu: str) -> None:
    words = ["run", "-c", "status", "--", qemu, "-M", "virt", "-device", "virtio-net-pci,romfile=nosuch.rom"]
    ran = subprocess.run([*GDBTOOLS, *words], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 3
    assert ran.stderr.endswith("add -nic none, or on Debian and Ubuntu: apt-get install ipxe-qemu\n")
