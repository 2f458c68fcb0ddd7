"""`mmu service` at speed: 4 CPUs at once, interrupts running, faults that arrive together; none lost, none twice."""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gdbtools.machine.symbols import symbol_values
from gdbtools.repl.demo import CHECKSUMS
from tests.live.ctrl_c import ctrl_c, moments
from tests.live.session import GUEST, MIXED, STORM, Live, attached
from tests.places import ROOT

pytestmark = pytest.mark.guest

LEAVES = 4 * 1024 + 256 + 4
"""What 4 CPUs touch in a round: storm/guest.h."""
SCANNED: Mapping[Path, Callable[[int], int]] = {
    STORM: lambda cpus: cpus * 1024 + 256 + cpus,
    MIXED: lambda cpus: cpus * (256 + 32) + 64,
}
"""How many leaves so many CPUs touch in a round without their access flags: guest.h of each."""
GUESTS = pytest.mark.parametrize("guest", SCANNED, ids=lambda guest: guest.stem)
THOUSANDS = 23
"""The rounds that make 100,000 faults of it."""
SECONDS = 1800
OSV = ROOT / "gdbinit.d/osv.gdb"
BRIDGE = """
import os, select, socket, sys
stub = socket.socket(socket.AF_UNIX)
stub.connect(sys.argv[1])
while True:
    for each in select.select([0, stub], [], [])[0]:
        data = os.read(0, 4096) if each == 0 else stub.recv(4096)
        if not data:
            sys.exit()
        stub.sendall(data) if each == 0 else os.write(1, data)
"""
"""A way to a stub that is no socket: what `target remote |` runs."""


@cache
def checksum(gdb_path: str, cpus: int, rounds: int, guest: Path = STORM) -> str:
    """Return what the guest computes when no access flag is ever cleared."""
    with storm(gdb_path, cpus, rounds, guest) as live:
        live.say("set var *(unsigned long *)&scanning = 0")
        live.gdb.run("continue")
        said = finished(live)
    assert printed(said, "faults") == 0
    return found(said, "checksum")


def at(name: str, guest: Path = STORM) -> int:
    return symbol_values(guest)[name]


def found(said: str, what: str) -> str:
    match = re.search(rf"(?m)^{what} (\S+)$", said)
    assert match, f"the guest did not say its {what}: {said}"
    return match[1]


def printed(said: str, what: str) -> int:
    return int(found(said, what), 0)


@contextmanager
def storm(gdb_path: str, cpus: int, rounds: int, guest: Path = STORM, **options: Any) -> Iterator[Live]:
    """The guest before its first scan."""
    with attached(gdb_path, cpus, guest=guest, **options) as live:
        live.say("hbreak cpu_main")
        live.say("continue")
        live.say("delete")
        live.say(f"set var *(unsigned long *)&rounds = {rounds}")
        yield live


def summaries(live: Live, options: str = "") -> dict[str, Any]:
    (line,) = [each for each in live.say(f"mmu service --json {options}", SECONDS).splitlines() if each[:1] == "{"]
    return json.loads(line)["result"]


def finished(live: Live) -> str:
    assert live.qemu.wait(240)
    return live.qemu.output()


def settled(parts: Sequence[dict[str, Any]]) -> int:
    return sum(part["faults"] + part["around"] for part in parts)


@GUESTS
@pytest.mark.parametrize("cpus", [1, 4])
def test_each_cleared_flag_is_repaired_once_and_the_guest_computes_what_it_should(
    gdb_path: str, cpus: int, guest: Path
) -> None:
    with storm(gdb_path, cpus, 1, guest) as live:
        summary = summaries(live)
        said = finished(live)
    assert summary["ended"] == "the guest is gone: QEMU closed the connection"
    assert summary["faults"] == printed(said, "faults") == SCANNED[guest](cpus)
    assert summary["around"] == 0
    assert printed(said, "ticks") >= cpus
    assert found(said, "checksum") == checksum(gdb_path, cpus, 1, guest)


def test_faults_that_another_cpus_repair_has_cured_are_counted_apart(gdb_path: str) -> None:
    with storm(gdb_path, 4, 1) as live:
        summary = summaries(live)
        said = finished(live)
    # All four touch the shared leaves at the same time, in the same order.
    assert summary["already_repaired"] > 0
    assert summary["faults"] == printed(said, "faults")


@pytest.mark.parametrize(("cpus", "guest"), [(1, STORM), (4, STORM), (4, MIXED)])
def test_around_settles_neighbours_before_they_fault_and_counts_them_apart(
    gdb_path: str, cpus: int, guest: Path
) -> None:
    with storm(gdb_path, cpus, 1, guest) as live:
        summary = summaries(live, "--around 16")
        said = finished(live)
    assert found(said, "checksum") == checksum(gdb_path, cpus, 1, guest)
    assert summary["faults"] + summary["around"] == printed(said, "faults")
    assert summary["around"] > 4 * summary["faults"]
    assert summary["around"] <= 16 * summary["faults"]


@GUESTS
def test_ctrl_c_at_any_moment_leaves_a_guest_that_goes_on_and_loses_nothing(gdb_path: str, guest: Path) -> None:
    parts: list[dict[str, Any]] = []
    rounds = 2 if guest == STORM else 1
    with storm(gdb_path, 4, rounds, guest) as live:
        for attempt, seconds in enumerate(moments([0.05 + number / 30 for number in range(7)], 100)):
            with ctrl_c(live.gdb.pid, seconds):
                reply = live.gdb.run(f"mmu service --json {'--around 2' if attempt % 3 == 2 else ''}", SECONDS)
            # Before it has begun and after it Ctrl-C is GDB's own.
            assert reply.error in ("", "Quit"), reply.error
            parts += [json.loads(line)["result"] for line in reply.text.splitlines() if line[:1] == "{"]
            if not parts:
                continue
            if "the guest is gone" in parts[-1]["ended"]:
                break
            assert parts[-1]["ended"] == "interrupted"
            assert live.physical_mode() == "0"
            assert live.inside("breakpoints()") == []
            # What GDB says of each CPU is what the CPU has.
            assert live.inside("remembered()") == live.inside("asked()")
        said = finished(live)
    assert len(parts) > 3
    assert settled(parts) == printed(said, "faults")
    assert found(said, "checksum") == checksum(gdb_path, 4, rounds, guest)


@GUESTS
def test_a_service_in_parts_counts_each_fault_once(gdb_path: str, guest: Path) -> None:
    parts: list[dict[str, Any]] = []
    count = 777 if guest == STORM else 277
    with storm(gdb_path, 4, 1, guest) as live:
        while not parts or "as asked" in parts[-1]["ended"]:
            parts.append(summaries(live, f"--count {count}"))
        said = finished(live)
    assert [part["faults"] for part in parts[:-1]] == [count] * (len(parts) - 1)
    assert settled(parts) == printed(said, "faults") == SCANNED[guest](4)
    assert found(said, "checksum") == checksum(gdb_path, 4, 1, guest)
    if guest == MIXED:
        assert passed_on(parts) == own_exceptions(said)


def passed_on(parts: Sequence[dict[str, Any]]) -> Counter[str]:
    """Return how many exceptions services passed on, by the fault that they are, or else by their class."""
    found: Counter[str] = Counter()
    for part in parts:
        assert sum(each["exceptions"] for each in part["passed_on_by"]) == part["passed_on"]
        for each in part["passed_on_by"]:
            found[each["fault"] or each["class"]] += each["exceptions"]
    return found


def own_exceptions(said: str) -> Counter[str]:
    """Return what the guest's own handlers have counted."""
    kinds = {"SVC": "calls", "translation": "demanded", "permission": "copied"}
    return Counter({kind: printed(said, what) for kind, what in kinds.items()})


@pytest.mark.parametrize("way", ["alone", "beside a breakpoint", "beside a watchpoint"])
def test_each_exception_of_the_guests_own_is_passed_on_and_counted_once(gdb_path: str, way: str) -> None:
    with storm(gdb_path, 4 if way == "alone" else 1, 1, MIXED) as live:
        if way == "beside a breakpoint":
            # Of the user's: whether it stops the guest GDB has to say, at each exception from EL0.
            live.say(f"hbreak *{at('vectors', MIXED) + 0x400} if $x0 == 0xdead")
        elif way == "beside a watchpoint":
            # GDB alone then runs the guest.
            live.say(f"watch *(long *){at('rounds', MIXED)}")
        summary = summaries(live)
        said = finished(live)
    assert summary["faults"] == printed(said, "faults")
    assert passed_on([summary]) == own_exceptions(said)
    assert summary["passed_on"] > summary["faults"]


def test_a_service_among_other_exceptions_is_quiet_in_the_order_of_the_readme(gdb_path: str) -> None:
    with storm(gdb_path, 4, 1, MIXED) as live:
        live.say("set width 100")
        live.say(f"source {OSV}")
        live.say("set mmu-vectors all")
        live.say("mmu catch access-flag")
        said = live.say("mmu service --count 900")
    # Nothing but its own answer: a line, a table of rows, and another of what was passed on.
    assert said.lstrip().startswith("900 access-flag faults repaired in ")
    assert "Ended: 900 faults repaired, as asked." in said.splitlines()
    assert len([line for line in said.splitlines() if line.strip()]) <= 12, said


def test_what_the_guest_calls_dirty_is_what_was_written(gdb_path: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with storm(gdb_path, 1, 1, MIXED) as live:
        live.say("set mmu-dirty bit55")
        assert live.ask("map --dirty")[0]["runs"] == []
        live.say("hbreak finished")
        summary = summaries(live, f"--log {log}")
        dirty = sum(run["size"] for run in live.ask("map --dirty")[0]["runs"]) // 4096
        live.say("delete")
        live.gdb.run("continue")
        said = finished(live)
    assert dirty == printed(said, "written")
    faults = [json.loads(line) for line in log.read_text().splitlines()]
    recorded = [fault for fault in faults if int(fault["after"], 0) & 1 << 55]
    written = sum(each["faults"] for each in summary["by"] if each["access"] == "write")
    # A page that is copied when it is written is read-only at first: that write does not happen.
    copied = [fault for fault in faults if int(fault["before"], 0) & 1 << 7]
    assert len(copied) == 32
    assert len(recorded) == written - len(copied) > 0
    assert not [fault for fault in copied if fault in recorded]


def test_what_a_catch_ends_a_service_with_is_told_after_its_summary(gdb_path: str) -> None:
    with storm(gdb_path, 1, 1, MIXED) as live:
        live.say("set mmu-at-stop verdict")
        live.say("mmu catch permission")
        lines = [line for line in live.say("mmu service").splitlines() if line.strip()]
        ended = next(at for at, line in enumerate(lines) if line.startswith("Ended: breakpoint "))
        told = [at for at, line in enumerate(lines) if "permission fault" in line]
    assert [at > ended for at in told] == [True]


def test_a_breakpoint_beside_a_catch_is_not_taken_for_it(gdb_path: str) -> None:
    with storm(gdb_path, 1, 1, MIXED) as live:
        live.say("set var *(unsigned long *)&scanning = 0")
        live.say("set mmu-at-stop verdict")
        live.say("mmu catch access-flag")
        live.say(f"hbreak *{at('vectors', MIXED) + 0x400}")
        said = live.say("continue")
    # An access to EL0's stack, which is not there yet: nothing that the catch is for.
    assert "Breakpoint" in said
    assert "translation" not in said


@GUESTS
def test_a_breakpoint_of_the_users_is_gdbs_to_decide_about(gdb_path: str, guest: Path) -> None:
    with storm(gdb_path, 4, 1, guest) as live:
        live.say("hbreak *interrupt if $x0 == 2")
        live.say("ignore $bpnum 1")
        first = summaries(live)
        assert first["ended"].startswith("breakpoint ")
        assert live.value("$pc") == at("interrupt", guest)
        assert live.value("$x0") == 2
        assert live.inside("gdb.selected_thread().num") == 3
        live.say("delete")
        second = summaries(live)
        said = finished(live)
    assert settled([first, second]) == printed(said, "faults")
    assert found(said, "checksum") == checksum(gdb_path, 4, 1, guest)


@pytest.mark.parametrize("way", ["a pipe", "TCP from another process", "a shared file"])
def test_however_the_guest_is_reached_nothing_is_lost(gdb_path: str, tmp_path: Path, way: str) -> None:
    bridge = tmp_path / "bridge.py"
    bridge.write_text(BRIDGE)
    ram = f"memory-backend-file,id=ram,size=128M,mem-path={tmp_path / 'ram'},share=on"
    options: dict[str, dict[str, Any]] = {
        "a pipe": {"through": lambda stub: f"| {sys.executable} {bridge} {stub}"},
        "TCP from another process": {"through": over_tcp},
        "a shared file": {"extra": ("-object", ram), "machine": "virt,memory-backend=ram"},
    }
    with attached(gdb_path, 4, guest=GUEST, **options[way]) as live:
        live.to_scan()
        live.ask("walk $pc")
        memory = live.ask("status")[0]["memory"]
        summary = summaries(live)
        said = finished(live)
    # Only QEMU itself, at the other end of the socket, has the guest's RAM.
    assert ("compared with the gdbstub" in memory) == (way == "a shared file")
    assert (f"in file {tmp_path / 'ram'}" in memory) == (way == "a shared file")
    assert CHECKSUMS[4] in said
    # 103 leaves, twice: regions.c.
    assert summary["faults"] == 206


def over_tcp(stub: Path) -> str:
    """Serve one client on a TCP port of ours, by the stub."""
    listener = socket.create_server(("localhost", 0))

    def serve() -> None:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Either end may go first.
        with suppress(OSError), listener, client, socket.socket(socket.AF_UNIX) as upstream:
            upstream.connect(str(stub))
            while True:
                for each in select.select([client, upstream], [], [])[0]:
                    data = each.recv(1 << 12)
                    if not data:
                        return
                    (upstream if each is client else client).sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    return f"localhost:{listener.getsockname()[1]}"


def test_the_log_has_each_fault_once_and_the_trace_a_track_for_each_cpu(gdb_path: str, tmp_path: Path) -> None:
    log, trace = tmp_path / "log", tmp_path / "trace.json"
    with storm(gdb_path, 4, 1) as live:
        summary = summaries(live, f"--log {log}")
    faults = [json.loads(line) for line in log.read_text().splitlines()]
    repaired = [fault for fault in faults if fault["before"] != fault["after"]]
    assert len(repaired) == summary["faults"]
    assert len(faults) - len(repaired) == summary["already_repaired"]
    assert {int(fault["after"], 0) ^ int(fault["before"], 0) for fault in repaired} == {1 << 10}
    assert len({fault["va"] for fault in repaired}) == LEAVES
    assert {fault["cpu"] for fault in faults} == {0, 1, 2, 3}
    assert {fault["verdict"] for fault in repaired} == {"tables agree"}
    assert {fault["verdict"] for fault in faults} == {"tables agree", "tables permit"}
    assert {fault["symbol"].split(" ")[0] for fault in faults} <= {"cpu_main", "interrupt"}
    assert all(fault["level"] == 3 for fault in faults)
    times = [fault["time"] for fault in faults]
    assert times == sorted(times)

    words = [sys.executable, "-m", "gdbtools.cli", "trace", str(log), "--perfetto", str(trace), "--json"]
    answer = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)["result"]
    assert answer["faults"] == len(faults)
    events = json.loads(trace.read_text())["traceEvents"]
    tracks = {each["tid"]: each["args"]["name"] for each in events if each["name"] == "thread_name"}
    assert sorted(tracks.values()) == ["CPU 0", "CPU 1", "CPU 2", "CPU 3"]
    slices = [each for each in events if each["ph"] == "X"]
    assert [(tracks[each["tid"]], each["args"]["va"]) for each in slices] == [
        (f"CPU {fault['cpu']}", f"{int(fault['va'], 0):#x}") for fault in faults
    ]


@pytest.mark.full
def test_a_hundred_thousand_faults_on_four_cpus(gdb_path: str) -> None:
    with storm(gdb_path, 4, THOUSANDS) as live:
        summary = summaries(live)
        said = finished(live)
    assert summary["faults"] == printed(said, "faults") == THOUSANDS * LEAVES >= 100_000
    assert found(said, "checksum") == checksum(gdb_path, 4, THOUSANDS)
