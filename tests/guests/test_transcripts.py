"""What docs/ show of a real Linux, typed again: tests/transcripts.py.  Numbers are another run's."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gdbtools.children.processes import find_gdb
from gdbtools.errors import Unavailable
from tests.guests.linux import RAM, LinuxGuest
from tests.guests.test_linux import Shape
from tests.guests.test_linux_working_set import heap_of, in_process, process
from tests.repl.conftest import GDBTOOLS
from tests.transcripts import compare, marked, numberless

pytestmark = pytest.mark.guest

BARS = re.compile(r"[\u00b7\u2581-\u2588]+")
"""Of a picture of what was touched: a dot, and blocks of eight heights."""


@pytest.fixture(scope="module")
def linux(qemu: str) -> Iterator[LinuxGuest]:
    try:
        guest = Shape("6.1-4k", "cortex-a57").guest()
    except Unavailable as missing:
        pytest.skip(str(missing))
    with guest:
        yield guest


def pictureless(text: str) -> str:
    return numberless(re.sub(r"EL0 (read|write|read write), ", "EL0 wanted, ", BARS.sub("bars", text)))


def stateless(text: str) -> str:
    """Return text without numbers, and without what the shell is doing at the moment."""
    return numberless(re.sub(r"running|ready|sleeping", "waiting", text))


def test_the_roots_of_an_image_without_registers(linux: LinuxGuest, tmp_path: Path) -> None:
    (transcript,) = marked("find-roots")
    with linux.process("sleep 1000") as pid:
        # Until then it has begun, and less of it is mapped than the page shows.
        linux.run(f"until grep -q sleeping /proc/{pid}/status; do :; done")
        with linux.stopped():
            (tmp_path / "ram.bin").write_bytes(linux.read(RAM, linux.memory_bytes))
    done = subprocess.run(
        [*GDBTOOLS, *transcript.words[1:]], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    compare(done.stdout, transcript, numberless)
    assert (tmp_path / "registers.json").is_file()


def test_the_tasks_of_an_image_of_memory(linux: LinuxGuest, tmp_path: Path) -> None:
    transcripts = marked("tasks")
    with linux.process("exec sleep 1000") as pid:
        linux.run(f"until grep -q sleeping /proc/{pid}/status; do :; done")
        with linux.stopped():
            (tmp_path / "ram.bin").write_bytes(linux.read(RAM, linux.memory_bytes))
    for each in transcripts:
        done = subprocess.run(
            [*GDBTOOLS, *each.words[1:]], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
        )
        assert (done.returncode, done.stderr) == (int("fault" in done.stdout), "")
        compare(done.stdout, each, stateless)


def test_the_working_set_of_a_process(linux: LinuxGuest) -> None:
    (transcript,) = marked("working-set")
    with process(linux) as pid:
        heap = heap_of(linux, pid)
        asked = re.sub(r"0x[0-9a-f]+,0x[0-9a-f]+", f"{heap.first:#x},{heap.end:#x}", transcript.command)
        with in_process(linux, find_gdb(), heap, 0) as session:
            compare(session.say(asked), transcript, pictureless)


@pytest.mark.full
def test_the_job_that_boots_a_kernel_and_asserts(qemu: str, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "tests.guests.debian", str(tmp_path)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(made.stderr.strip())
    job, status = marked("job")
    done = subprocess.run(
        [*GDBTOOLS, *job.words[1:], "-append", "console=ttyAMA0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    compare(done.stdout, job, numberless)
    assert shlex.split(status.command) == ["echo", "$?"]
    compare(str(done.returncode), status)
