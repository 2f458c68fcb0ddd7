"""QEMUs that were only unpacked, beside a system's own: neither sees the other's modules."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from gdbtools.errors import Unavailable
from tests.guests.packages import QEMU_SUITES, qemu

pytestmark = pytest.mark.guest

QUIT = r"""{"execute": "qmp_capabilities"}
{"execute": "quit"}
"""


@pytest.mark.parametrize("suite", QEMU_SUITES)
def test_an_unpacked_qemu_loads_no_module_of_the_systems(suite: str, tmp_path: Path) -> None:
    """In a mount namespace where the system has modules of another build, for which files stand that are none."""
    try:
        asked = qemu(suite)
    except Unavailable as missing:
        pytest.skip(str(missing))
    for name in ("ui-opengl", "audio-pa", "audio-alsa", "audio-oss", "hw-display-virtio-gpu", "chardev-spice"):
        (tmp_path / f"{name}.so").write_text("a module of another build\n")
    [folder] = {path.parent for path in Path("/usr/lib").glob("*/qemu/*.so")} or {None}
    if folder is None:
        pytest.skip("the system's QEMU has no folder of modules here: apt-get install qemu-system-common")
    command = shlex.join([*asked.command, "-M", "virt", "-nic", "none", "-display", "none", "-qmp", "stdio"])
    apart = ["unshare", "--mount", "sh", "-c", f"mount --bind {shlex.quote(str(tmp_path))} {folder} && exec {command}"]
    ran = subprocess.run(apart, input=QUIT, capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in ran.stderr or "mount:" in ran.stderr:
        pytest.skip(f"no mount namespace can be made here (run the tests as root): {ran.stderr.strip()}")
    assert ran.stderr == ""
    assert ran.returncode == 0
    assert '"return": {}' in ran.stdout


@pytest.mark.parametrize("suite", QEMU_SUITES)
def test_an_unpacked_qemu_finds_its_own_modules(suite: str) -> None:
    """The one that has virtio-gpu is a module in each of them."""
    try:
        asked = qemu(suite)
    except Unavailable as missing:
        pytest.skip(str(missing))
    command = [*asked.command, "-M", "virt", "-device", "virtio-gpu-pci,help"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "virtio-gpu-pci options" in ran.stdout, ran.stderr
