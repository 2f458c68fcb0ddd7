"""A QEMU through its monitor: read as it stands, never changed, and left as it was found."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gdbtools.cli import main
from gdbtools.errors import Refused, Unavailable, Unreadable, UsageError
from gdbtools.machine.live import qemu as qemu_source
from gdbtools.machine.live.qmp import Qmp
from gdbtools.machine.sources import opened
from tests.guests import packages
from tests.guests.dumps import MEMORY_BYTES, RAM, Monitored, monitored
from tests.guests.linux import Stub
from tests.places import ROOT

pytestmark = pytest.mark.guest

TLB = ROOT / "fixtures/guests/tlb/tlb.elf"
"""A guest that runs for ever."""
PAGE, FLASH, UART = 0x1000_0000, 0, 0x900_0000


@pytest.fixture
def running(qemu: str) -> Iterator[Monitored]:
    with monitored(TLB, cpus=2) as guest:
        translating(guest)
        yield guest


def translating(guest: Monitored) -> None:
    """Wait until both CPUs of the guest have their MMU on."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with opened(guest.source, stop=True) as machine:
            if all(cpu.registers.read("SCTLR_EL1") & 1 for cpu in machine.cpus):
                return
    raise AssertionError("the guest does not switch its MMU on")


@pytest.fixture
def held(running: Monitored) -> Monitored:
    with running.monitor() as qmp:
        qmp.ask("stop")
    return running


def state(qmp: Qmp, folder: Path) -> tuple[str, ...]:
    """Return everything of a stopped guest that could be changed: memory, registers, what its monitor has."""
    qmp.ask("pmemsave", val=RAM, size=MEMORY_BYTES, filename=str(folder / "state"))
    memory = hashlib.sha256((folder / "state").read_bytes()).hexdigest()
    said = [qmp.monitor(line) for line in ("info registers -a", "info mtree -f", "info status", "info roms")]
    return memory, *said


def test_a_guest_that_runs_is_refused_and_runs_on(capsys, running: Monitored) -> None:
    assert main(["walk", "-s", running.source, hex(PAGE)]) == 4
    error = capsys.readouterr().err
    assert "--stop" in error
    assert len(error.splitlines()) == 1
    assert running.status() == "running"


def test_with_stop_it_is_held_meanwhile_and_runs_on_whatever_happens(capsys, running: Monitored) -> None:
    assert main(["walk", "-s", running.source, "--stop", hex(PAGE)]) == 0
    assert running.status() == "running"
    assert main(["walk", "-s", running.source, "--stop", "--regime", "el3", hex(PAGE)]) == 3
    assert running.status() == "running"
    with opened(running.source, stop=True):
        pass
    assert running.status() == "running"
    with pytest.raises(KeyboardInterrupt), opened(running.source, stop=True):
        raise KeyboardInterrupt
    assert running.status() == "running"
    capsys.readouterr()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_program_that_is_told_to_end_lets_the_guest_go_on(running: Monitored, told: signal.Signals) -> None:
    """As by `timeout`, by a terminal that is closed, by Ctrl-C."""
    program = (
        "import sys, time\n"
        "from gdbtools.machine.sources import opened\n"
        "with opened(sys.argv[1], stop=True):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    # A shell has what it starts in the background ignore Ctrl-C, and what that starts inherits it.
    heeding = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    with subprocess.Popen(
        [sys.executable, "-c", program, running.source], stdout=subprocess.PIPE, text=True, preexec_fn=heeding
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(told)
        assert process.wait(20) != 0
    assert running.status() == "running"


def test_a_guest_that_was_stopped_stays_so_and_nothing_of_it_changes(capsys, held: Monitored, tmp_path: Path) -> None:
    with held.monitor() as qmp:
        before = state(qmp, tmp_path)
    for words in (
        ["status"], ["regs"], ["walk", hex(PAGE), "0x3000000"], ["map"], ["fault"], ["fixup"], ["fixup", "--dry-run"],
        ["capture", str(tmp_path / "core")], ["pte", hex(PAGE), "AF=0"], ["clear-af", hex(PAGE)],
        ["walk", hex(UART), "--with", f"TTBR0_EL1={UART:#x}"],
    ):  # fmt: skip
        for source in ([held.source], [held.source, "--stop"]):
            main([*words, "-s", *source])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    with held.monitor() as qmp:
        assert state(qmp, tmp_path) == before


def test_every_cpus_system_registers_are_there_without_a_gdbstub_and_none_is_left(held: Monitored) -> None:
    with opened(held.source) as machine:
        assert [cpu.registers.read("TTBR0_EL1") & (1 << 48) - 1 for cpu in machine.cpus] != [0, 0]
        assert all(cpu.registers.read("VBAR_EL1") for cpu in machine.cpus)
    with held.monitor() as qmp:
        assert "gdb" not in [each["label"] for each in qmp.ask("query-chardev")]
    with opened(held.source) as machine:
        assert machine.register("TCR_EL1"), "a second time"


@pytest.mark.parametrize("form", ["unix:{}/gdb,server=on,wait=off", "tcp:127.0.0.1:0"])
def test_an_idle_gdbstub_is_asked_and_stays(qemu: str, tmp_path: Path, form: str) -> None:
    port = free_port()
    where = form.format(tmp_path).replace(":0", f":{port}")
    with monitored(TLB, extra=("-gdb", where)) as guest:
        translating(guest)
        with guest.monitor() as qmp:
            assert [each["label"] for each in qmp.ask("query-chardev")].count("gdb") == 1
        if form.startswith("unix"):
            assert Stub(tmp_path / "gdb").registers()["TTBR0_EL1"]


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


def test_a_gdbstub_that_a_debugger_holds_is_left_alone_and_said(capsys, qemu: str, tmp_path: Path) -> None:
    with monitored(TLB, extra=("-gdb", f"unix:{tmp_path}/gdb,server=on,wait=off")) as guest:
        translating(guest)
        debugger = Stub(tmp_path / "gdb")
        mine = debugger.registers()
        with opened(guest.source) as machine:
            assert machine.register("x0") == mine["x0"], "the monitor has the general ones"
        assert main(["walk", "-s", guest.source, hex(PAGE)]) == 3
        error = capsys.readouterr().err
        assert "a debugger is attached" in error
        assert "--registers" in error
        file = tmp_path / "registers.json"
        file.write_text(json.dumps({name: hex(value) for name, value in mine.items()}))
        assert main(["walk", "-s", guest.source, "--registers", str(file), hex(PAGE)]) == 0
        assert debugger.registers() == mine


def test_nothing_is_written_although_memory_is_reached_where_it_could_be(held: Monitored) -> None:
    with opened(held.source) as machine:
        before = machine.memory.read(RAM + 0x200000, 64)
        assert any(before), "which proves the window"
        assert "/proc/" in machine.memory.description
        with pytest.raises(Refused):
            machine.memory.write(RAM + 0x200000, bytes(64))
        assert machine.memory.read(RAM + 0x200000, 64) == before


def test_by_the_monitor_alone_memory_is_the_same_and_a_device_is_never_read(
    held: Monitored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where QEMU is another user's, or on another host."""
    monkeypatch.setattr(qemu_source, "peer_of", lambda connected: None)
    with held.monitor() as qmp:
        state(qmp, tmp_path)
    whole = (tmp_path / "state").read_bytes()
    with opened(held.source) as machine:
        read = machine.memory.read
        assert "monitor" in machine.memory.description
        for at, size in ((0, 8), (0x200000, 4096), (0x200004, 3), (0x200000, 1 << 17), (MEMORY_BYTES - 4, 4)):
            assert read(RAM + at, size) == whole[at : at + size]
        assert len(read(FLASH, 64)) == 64
        for pa in (UART, RAM - 4, RAM + MEMORY_BYTES - 4, 1 << 40, (1 << 64) - 8):
            with pytest.raises(Unreadable):
                read(pa, 8)
        with pytest.raises(Refused):
            machine.memory.write(RAM, b"12345678")


@pytest.mark.parametrize("name", ["bookworm-backports", "sid"])
def test_with_other_versions_of_qemu(name: str, tmp_path: Path) -> None:
    try:
        packages.qemu(name)
    except Unavailable as missing:
        pytest.skip(str(missing))
    with monitored(TLB, cpus=2, qemu=name) as guest:
        translating(guest)
        with guest.monitor() as qmp:
            qmp.ask("stop")
            before = state(qmp, tmp_path)
        with opened(guest.source) as machine:
            assert "/proc/" in machine.memory.description
            assert machine.register("TTBR0_EL1")
            assert machine.memory.read(RAM, 4096) == (tmp_path / "state").read_bytes()[:4096]
        with guest.monitor() as qmp:
            assert state(qmp, tmp_path) == before


def test_what_is_no_monitor_is_said_in_one_line(held: Monitored, tmp_path: Path) -> None:
    with held.monitor(), pytest.raises(Unavailable, match="one at a time"), short_wait(), opened(held.source):
        pass
    for name, says in ((f"qmp:{tmp_path}/none", "No such file"), ("qmp:localhost:1", "refused"), ("qmp:", "monitor")):
        with pytest.raises(Unavailable, match=says), opened(name):
            pass
    with pytest.raises(UsageError, match="alone"), opened([held.source, held.source]):
        pass


class short_wait:
    """Wait for an answer only a moment."""

    def __enter__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr("gdbtools.machine.live.qmp.ANSWER_SECONDS", 0.5)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"\n",
        b"hello\n",
        b"[]\n",
        b"QEMU 7.2 monitor\r\n(qemu) ",
        b'{"QMP": {}}\n',
        b'{"QMP": {}}\n7\n',
        b"[" * 99999,
    ],
)
def test_whatever_answers_instead_of_qemu_is_one_line(tmp_path: Path, says: bytes) -> None:
    path = tmp_path / "socket"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    child = os.fork()
    if child == 0:
        link, _ = server.accept()
        link.sendall(says)
        link.shutdown(socket.SHUT_WR)
        os._exit(0)
    try:
        with pytest.raises(Unavailable) as raised, opened(f"qmp:{path}"):
            pass
        assert len(str(raised.value).splitlines()) == 1
    finally:
        os.waitpid(child, 0)
        server.close()
