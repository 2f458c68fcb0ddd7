"""The files that are sourced inside GDB: from a checkout, twice, with each preset, and from an installed package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from gdbtools.commands import COMMANDS
from tests.live.session import INIT, Session
from tests.places import ROOT

pytestmark = pytest.mark.guest

SITE_PACKAGES = Path(sysconfig.get_paths()["purelib"])
PRESETS = sorted(INIT.parent.glob("*.gdb"))


def batch(gdb_path: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [gdb_path, "-nx", "-q", "-batch", *arguments]
    wanted = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=wanted, timeout=60, check=False)


def test_gdbinit_prints_a_path_that_gdb_takes(gdb_path: str) -> None:
    command = [sys.executable, "-m", "gdbtools.cli", "gdbinit"]
    path = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()
    assert Path(path).exists()
    ran = batch(gdb_path, "-x", path, "-ex", "mmu status")
    assert (
        ran.stderr.strip()
        .splitlines()[-1]
        .endswith("nothing is attached; start QEMU with -s and say: target remote localhost:1234")
    )
    assert ran.stdout.strip() == ""


def test_sourcing_says_nothing_and_touches_no_target(gdb_path: str) -> None:
    ran = batch(gdb_path, "-x", str(INIT), "-ex", "info target", "-ex", "info breakpoints")
    assert re.fullmatch(r"No breakpoints.* (watch|catch)points\.\n", ran.stdout)
    assert ran.stderr == ""


def test_sourcing_imports_nothing_that_only_an_answer_needs(gdb_path: str) -> None:
    known = "[name for name in __import__('sys').modules if name.startswith(('gdbtools.', 'wcwidth', 'elftools'))]"
    loaded = batch(gdb_path, "-x", str(INIT), "-ex", f"python print(*{known})").stdout.split()
    assert {".".join(name.split(".")[:2]) for name in loaded} == {
        f"gdbtools.{part}"
        for part in ("addresses", "arch", "commands", "errors", "live", "numbers", "printable", "spelling")
    }
    assert not [name for name in loaded if name.endswith((".run", ".view"))]


def test_what_an_answer_misses_is_one_line(gdb_path: str) -> None:
    missing = "python import sys; sys.modules['gdbtools.render.text'] = None"
    ran = batch(gdb_path, "-x", str(INIT), "-ex", missing, "-ex", "mmu esr 0")
    advice = "run `make demo` in the checkout, or pip install gdbtools"
    assert ran.stderr == f"gdbtools.render.text cannot be imported; {advice}\n"


def test_sourcing_again_changes_nothing(alone: Session) -> None:
    alone.say("set mmu-dirty bit56")
    assert alone.say(f"source {INIT}") == ""
    assert "bit56" in alone.say("show mmu-dirty")
    assert alone.say("help mmu").count("mmu walk --") == 1


def test_no_package_of_the_system_is_hidden(alone: Session) -> None:
    """What was importable before comes from where it came: the environment's folders stand behind."""
    places = alone.inside("__import__('sys').path")
    ours = next(
        position for position, place in enumerate(places) if place.endswith("site-packages") or place == str(ROOT)
    )
    assert ours > 0


def test_an_import_that_fails_is_one_line(gdb_path: str, tmp_path: Path) -> None:
    (tmp_path / "gdbinit.d").mkdir()
    alone = tmp_path / "gdbinit.d" / "gdbtools.py"
    alone.write_text(INIT.read_text())
    ran = batch(gdb_path, "-ex", "python import sys; sys.modules['gdbtools'] = None", "-ex", f"source {alone}")
    assert "Traceback" not in ran.stderr
    assert "run `make demo` in the checkout, or pip install gdbtools" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_sets_what_it_says(alone: Session, preset: Path) -> None:
    assert alone.say(f"source {preset}") == ""
    said = dict(re.findall(r"(?m)^set (\S+) (\S+)$", preset.read_text()))
    assert set(said) == {"mmu-dirty", "mmu-vectors", "mmu-at-stop"}
    for name, value in said.items():
        assert alone.inside(f"gdb.parameter({name!r})") == value


NAMES = ["gdbtools", "a kernel of mine", "größe-ядро"]


def checkout(folder: Path) -> Path:
    """Copy what of this checkout GDB needs; gives the file to source."""
    for name in ("gdbtools", "gdbinit.d"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "gdbinit.d" / "gdbtools.py"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("name", NAMES)
def test_a_checkout_may_have_any_name(gdb_path: str, tmp_path: Path, name: str, locale: str) -> None:
    """In the C locale GDB 18 opens no path of other letters before it is told what they are; what we start, is told."""
    init = checkout(tmp_path / name)
    characters = [] if name.isascii() else ["-ex", "set host-charset UTF-8"]
    asked = [*characters, "-x", str(init), "-ex", "mmu esr 0x96000006"]
    ran = batch(gdb_path, *asked, VIRTUAL_ENV=sys.prefix, LC_ALL=locale)
    assert "Data Abort" in ran.stdout, ran.stderr
    assert ran.stderr == ""


def test_a_checkout_may_be_reached_through_a_link(gdb_path: str, tmp_path: Path) -> None:
    init = checkout(tmp_path / "gdbtools")
    (tmp_path / "link").symlink_to(tmp_path / "gdbtools")
    (tmp_path / "init.py").symlink_to(init)
    for path in (tmp_path / "link" / "gdbinit.d" / "gdbtools.py", tmp_path / "init.py"):
        ran = batch(gdb_path, "-x", str(path), "-ex", "mmu esr 0x96000006", VIRTUAL_ENV=sys.prefix)
        assert "Data Abort" in ran.stdout, ran.stderr


def test_a_wheel_has_its_scripts_guests_and_captures(gdb_path: str, tmp_path: Path) -> None:
    """Built and unpacked as pip does it, beside nothing of the checkout."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", str(tmp_path), str(ROOT)], check=True)
    [wheel] = tmp_path.glob("gdbtools-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "gdbtools.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment).stdout

    init = run("gdbinit").strip()
    assert init == str(site / "gdbtools" / "gdbinit.d" / "gdbtools.py")
    ran = batch(gdb_path, "-x", init, "-ex", "mmu esr 0x96000006", PYTHONPATH=str(SITE_PACKAGES))
    assert "Data Abort" in ran.stdout, ran.stderr
    guests = sorted(path.stem for path in (ROOT / "fixtures/guests").glob("*/*.elf"))
    assert guests == sorted(path.stem for path in (site / "gdbtools/fixtures/guests").glob("*/*.elf"))
    # On a screen of 80 columns the path is broken over lines.
    said = re.sub(r"\s+", "", run("run", "--guest", "access_flag", "--dry-run"))
    assert re.sub(r"\s+", "", str(site / "gdbtools/fixtures/guests/access_flag/access_flag.elf")) in said
    assert (site / "gdbtools/fixtures/captures/access-flag.core").exists(), "what `gdbtools demo` replays"


@pytest.mark.full
def test_an_installed_package_works_without_its_checkout(gdb_path: str, tmp_path: Path) -> None:
    """A real `pip install` into an environment of its own; needs the package index."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    environment = {**os.environ, "PIP_USER": "0"}
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True, cwd=tmp_path, env=environment)
    program = tmp_path / "venv" / "bin" / "gdbtools"
    path = subprocess.run([program, "gdbinit"], capture_output=True, text=True, check=True, cwd=tmp_path).stdout.strip()
    assert path.startswith(str(tmp_path))
    ran = batch(gdb_path, "-x", path, "-ex", "mmu status", "-ex", "help mmu")
    assert "nothing is attached" in ran.stderr
    assert all(f"mmu {[name, *each.aliases][-1]} --" in ran.stdout for name, each in COMMANDS.items())
    for preset in PRESETS:
        assert batch(gdb_path, "-x", path, "-x", str(Path(path).parent / preset.name)).stderr == ""
