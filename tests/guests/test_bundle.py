"""`bundle`: what its line writes in a real guest is read back: the crash in it, and where the kernel's code began."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest

from gdbtools.machine.dumps.crash_text import CrashText, crashes_of
from gdbtools.machine.logs.bundle import LINE, REPORT
from tests.guests.crash_logs import BOOKWORM, program

pytestmark = [pytest.mark.guest, pytest.mark.full]


def written() -> str:
    """Return what the line writes in a guest of which a process has faulted."""
    with tempfile.TemporaryDirectory(prefix="gdbtools-bundle-") as folder:
        made, _ = program(Path(folder))
        guest = BOOKWORM.guest()
        guest.programs = (made,)
        with guest:
            guest.run("echo 0 > /proc/sys/kernel/kptr_restrict; echo 1 > /proc/sys/debug/exception-trace; faulting")
            return guest.run(f"cd /tmp 2> /dev/null || cd /; {LINE}; cat {REPORT}", 120).replace("\r", "")


def test_what_a_guest_writes_is_read_back() -> None:
    text = CrashText(io.BytesIO(written().encode()))
    (crash,) = crashes_of(text)
    assert crash.title.startswith("faulting[")
    assert crash.stated["ESR_EL1"] == 0x92000005
    assert [name for _, name in text.parts.sections][:4] == ["dmesg", "before", "hypervisor", "/proc/version"]
    assert crash.code_at is not None
    assert crash.code_at >> 47 == 0x1FFFF
