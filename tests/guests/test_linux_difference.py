"""Two dumps of a real Linux: `diff` says what its own /proc/vmallocinfo says, and `report` is a page of a sane size."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from gdbtools.errors import Unavailable
from tests.guests.linux import RAM, LinuxGuest
from tests.guests.packages import kernel
from tests.render.pages import loads, parsed, tables

pytestmark = pytest.mark.guest

PAGE = 1 << 12
MEMORY_BYTES = 128 << 20
BUSY = "while :; do :; done"
MORE = "for n in 1 2 3 4 5 6; do sleep 1000 & done; echo started"


@dataclass(frozen=True)
class Dump:
    """RAM and registers of a stopped guest, and what it says of its own kernel mappings: first and end of each."""

    source: str
    registers: str
    areas: frozenset[tuple[int, int]]


def vmalloc_areas(guest: LinuxGuest) -> frozenset[tuple[int, int]]:
    """Return what the kernel says it has mapped, each without the guard page behind it."""
    lines = guest.run("grep pages= /proc/vmallocinfo").splitlines()
    found = [re.match(r"0x(\w+)-0x(\w+) +\d+ .* pages=(\d+)", line) for line in lines]
    return frozenset((int(each[1], 16), int(each[1], 16) + int(each[3]) * PAGE) for each in found if each is not None)


@pytest.fixture(scope="module")
def dumps(qemu: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dump, Dump]:
    folder = tmp_path_factory.mktemp("dumps")

    def dump(guest: LinuxGuest, pid: int, name: str) -> Dump:
        areas = vmalloc_areas(guest)
        with guest.stopped(pid) as registers:
            (folder / name).write_bytes(guest.ram)
            written = {register: hex(value) for register, value in registers.items()}
        (folder / f"{name}.json").write_text(json.dumps(written))
        return Dump(f"{folder / name}@{RAM:#x}", str(folder / f"{name}.json"), areas)

    try:
        image = kernel("6.1-4k")
        # Addresses as they are, and a kernel half that stays mapped at EL0.
        append = "kpti=off no_hash_pointers"
        with LinuxGuest(image, memory_bytes=MEMORY_BYTES, append=append) as guest, guest.process(BUSY) as pid:
            before = dump(guest, pid, "before")
            guest.run(MORE)
            after = dump(guest, pid, "after")
    except Unavailable as missing:
        pytest.skip(str(missing))
    return before, after


def diff(capsys: pytest.CaptureFixture[str], before: Dump, after: Dump, *words: str) -> Any:
    registers = ("--before-registers", before.registers, "--after-registers", after.registers)
    main(["diff", before.source, after.source, *registers, "--ignore", "registers", *words, "--json"])
    return json.loads(capsys.readouterr().out)["result"]


def test_new_kernel_stacks_are_what_vmallocinfo_says_is_new(capsys, dumps: tuple[Dump, Dump]) -> None:
    before, after = dumps
    new, gone = after.areas - before.areas, before.areas - after.areas
    assert len(new) >= 3, "six processes have six stacks, some of them left by others"
    changes = diff(capsys, before, after)["changes"]
    first, last = min(new)[0], max(new)[1]
    mapped = [each for each in changes if each["kind"] == "mapped" and first <= int(each["first"], 16) < last]
    assert sum(each["size"] for each in mapped) == sum(end - start for start, end in new)
    assert {each["after"][0]["attributes"]["rights"]["el1"] for each in mapped} == {"rw-"}
    for start, end in new:
        assert any(int(each["first"], 16) <= start and end <= int(each["last"], 16) + 1 for each in mapped)
    assert not gone or any(each["kind"] == "unmapped" for each in changes)
    assert len(mapped) < len(new), "what is alike and near is said together"


def test_a_dump_does_not_differ_from_itself(capsys, dumps: tuple[Dump, Dump]) -> None:
    before, _ = dumps
    assert diff(capsys, before, before)["equal"]


def test_a_report_of_linux_is_a_page_of_a_sane_size(capsys, dumps: tuple[Dump, Dump], tmp_path: Path) -> None:
    before, _ = dumps
    file = tmp_path / "report.html"
    words = ["-s", before.source, "--registers", before.registers]
    status = main(["fault", *words])
    capsys.readouterr()
    assert main(["report", *words, "-o", str(file)]) == status
    assert file.stat().st_size < 2_000_000
    page = parsed(file.read_text())
    assert loads(page) == []
    assert main(["map", *words, "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["result"]["runs"]
    assert sum(run["size"] // run["block_size"] for run in runs) > 10_000
    rows = [row for headers, found in tables(page) for row in found if headers[:2] == ["from", "to"]]
    for run in runs:
        assert any(row[0] <= run["first"] and run["last"] <= row[1] for row in rows)
