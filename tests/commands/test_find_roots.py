"""`gdbtools find-roots`: from an image without registers to a map of it, and everything that is said on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdbtools.cli import main
from gdbtools.commands.find_roots import run as find_roots_run
from gdbtools.machine.sources import open_source
from tests.images import BASE, CODE, Image, kernel, process
from tests.places import ROOT
from tests.tables import Tables

OSV = ROOT / "fixtures/captures/osv-1131.core"
DEMO = OSV.with_name("access-flag.core")
ARM = ("--arch", "aarch64")
"""An image says of itself nothing at all."""
MEGA, GIGA = 1 << 20, 1 << 30
ROOT, TABLES, PROCESS, THEIRS = BASE + 4 * MEGA, BASE + 5 * MEGA, BASE + 8 * MEGA, BASE + 9 * MEGA


@pytest.fixture
def ram(tmp_path: Path) -> str:
    """An image with a kernel and two processes."""
    return saved(both(), tmp_path)


def both() -> Image:
    image = Image()
    kernel(image, 12, 25, ROOT, TABLES)
    process(image, 12, 25, PROCESS, THEIRS)
    process(image, 12, 25, PROCESS + 4096, THEIRS + MEGA)
    return image


def saved(image: Image, folder: Path) -> str:
    (folder / "ram.bin").write_bytes(image.data)
    return f"{folder / 'ram.bin'}@{BASE:#x}"


def ask(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0, command: str = "find-roots") -> dict:
    """Return the one line of a call, which has to end in `status`."""
    assert main([command, *words, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    [line] = [json.loads(each) for each in out.splitlines()]
    assert (line["schema"], line["command"]) == ("gdbtools/1", command)
    return line


def found(result: dict) -> list[tuple[int, str]]:
    return [(int(each["root"], 16), each["register"]) for each in result["roots"]]


def test_roots_are_listed_best_first_with_their_shape_and_their_evidence(capsys, ram: str) -> None:
    result = ask(capsys, "-s", ram, *ARM)["result"]
    assert found(result)[0] == (ROOT, "TTBR1_EL1")
    assert sorted(found(result)[1:]) == [(PROCESS, "TTBR0_EL1"), (PROCESS + 4096, "TTBR0_EL1")]
    best = result["roots"][0]
    assert (best["granule"], best["input_bits"], best["levels"]) == (4096, 39, [1, 2, 3])
    assert (best["regime"], best["owner"], best["first"]) == ("el1", "kernel", "0xffffff8000000000")
    assert (best["leaves"], best["mapped"]) == (4097, 4097 << 12)
    assert best["likely"] is True
    assert best["score"] == sum(each["weight"] for each in best["evidence"])
    pointers = next(each for each in best["evidence"] if each["sign"] == "pointers")
    assert pointers["count"] == pointers["of"] == 64
    assert [each["score"] for each in result["roots"]] == sorted(
        (each["score"] for each in result["roots"]), reverse=True
    )
    assert result["chosen"] == [f"{ROOT:#018x}"]
    assert (result["examined"], result["total"], result["unreadable"]) == (16 * MEGA, 16 * MEGA, 0)
    assert result["interrupted"] is result["too_many_tables"] is False


def test_what_is_written_makes_map_and_walk_work_and_says_what_it_assumed(capsys, ram: str, tmp_path: Path) -> None:
    file = tmp_path / "registers.json"
    result = ask(capsys, "-s", ram, *ARM, "--write", str(file))["result"]
    assert result["written"] == str(file)
    written = json.loads(file.read_text())
    assert written.pop("assumed") == result["assumed"]
    assert {name: int(value, 16) for name, value in written.items()} == {
        name: int(value, 16) for name, value in result["registers"].items()
    }
    line = ask(capsys, "-s", ram, *ARM, "--registers", str(file), command="map")
    assert line["assumed"] == result["assumed"]
    assert line["result"]["mapped"] == 4097 << 12
    assert int(line["result"]["runs"][0]["first"], 16) == 0xFFFF_FF80_0000_0000
    assert int(line["result"]["runs"][0]["output"], 16) == BASE
    # What was assumed is no evidence of itself.
    again = ask(capsys, "-s", ram, *ARM, "--registers", str(file))
    assert again["assumed"] == result["assumed"]
    assert "held" not in [each["sign"] for each in again["result"]["roots"][0]["evidence"]]
    # Of TTBR0's range nobody knows, so it is off, and not empty.
    assert main(["walk", "-s", ram, *ARM, "--registers", str(file), "0x400000"]) == 1
    out = capsys.readouterr().out
    assert "EPD0" in out
    assert "assumed" in out


def test_a_process_can_be_chosen_by_its_root(capsys, ram: str, tmp_path: Path) -> None:
    file = tmp_path / "registers.json"
    words = ["-s", ram, *ARM, "--root", f"{PROCESS + 4096:#x}", "--write", str(file)]
    assert ask(capsys, *words)["result"]["chosen"] == [f"{ROOT:#018x}", f"{PROCESS + 4096:#018x}"]
    assert main(["walk", "-s", ram, *ARM, "--registers", str(file), "0x400000", "--json"]) == 0
    walked = json.loads(capsys.readouterr().out)["result"]
    assert int(walked["output"], 16) == BASE + CODE


def test_a_root_that_was_not_found_cannot_be_chosen(capsys, ram: str) -> None:
    assert main(["find-roots", "-s", ram, *ARM, "--root", "0x40123000"]) == 2
    assert capsys.readouterr().err == (
        "gdbtools: 0x40123000 is none of the roots that were found; leave --root out to see them\n"
    )


def test_the_answer_comes_first_then_a_table_and_the_reasons(capsys, ram: str) -> None:
    assert main(["find-roots", "-s", ram, *ARM]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Most likely: TTBR1_EL1 = {ROOT:#x} (4KB granule, 39 bits)."
    assert lines[2].split() == ["root", "PA", "register", "granule", "bits", "levels", "leaves", "map", "like", "a"]
    assert lines[3].split()[:6] == [f"{ROOT:#x}", "TTBR1_EL1", "4KB", "39", "1..3", "4097"]
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "it maps 64 of 64 pages of the upper half that memory points into" in text
    assert "EPD0=1" in text


def test_more_than_fit_are_counted_and_listed_if_asked_for(capsys, tmp_path: Path) -> None:
    image = Image()
    kernel(image, 12, 25, ROOT, TABLES)
    for number in range(20):
        process(image, 12, 25, PROCESS + number * 4096, THEIRS + number * MEGA // 4)
    ram = saved(image, tmp_path)
    assert main(["find-roots", "-s", ram, *ARM]) == 0
    assert "and 9 more" in capsys.readouterr().out
    assert main(["find-roots", "-s", ram, *ARM, "--all"]) == 0
    out = capsys.readouterr().out
    assert sum("  TTBR0_EL1  " in line for line in out.splitlines()) == 20
    assert len(ask(capsys, "-s", ram, *ARM)["result"]["roots"]) == 21


@pytest.mark.parametrize("data", [bytes(4 * MEGA), b"no tables here, " * (MEGA // 4)], ids=["zeros", "text"])
def test_nothing_found_is_an_answer_with_exit_status_1(capsys, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "ram.bin").write_bytes(data)
    words = ["-s", f"{tmp_path / 'ram.bin'}@0x80000000", *ARM, "--write", str(tmp_path / "registers.json")]
    result = ask(capsys, *words, status=1)["result"]
    assert (result["roots"], result["registers"], result["written"]) == ([], {}, None)
    assert not (tmp_path / "registers.json").exists()
    assert main(["find-roots", *words]) == 1
    assert capsys.readouterr().out.startswith("Nothing here looks like a root table.")


def test_what_leads_to_one_page_only_is_dismissed_in_words(capsys, tmp_path: Path) -> None:
    image = Image(MEGA)
    for level in range(3):
        image.put(BASE + level * 4096, [BASE + (level + 1) * 4096 | 3] * 512)
    image.put(BASE + 3 * 4096, [BASE + 0x8000 | 0x743] * 512)
    ram = saved(image, tmp_path)
    assert main(["find-roots", "-s", ram, *ARM]) == 1
    assert f"dismissed  {BASE:#x}: 68719476736 of 68719476736 leaves lead to one" in capsys.readouterr().out
    [dismissed] = ask(capsys, "-s", ram, *ARM, status=1)["result"]["dismissed"]
    assert int(dismissed["root"], 16) == BASE


def test_64_gigabytes_with_holes_cost_what_they_hold(capsys, tmp_path: Path) -> None:
    image = both()
    with (tmp_path / "ram.bin").open("wb") as file:
        file.truncate(64 * GIGA)
        file.write(image.data)
    if (tmp_path / "ram.bin").stat().st_blocks * 512 > GIGA:
        pytest.skip("this file system has no sparse files")
    result = ask(capsys, "-s", f"{tmp_path / 'ram.bin'}@{BASE:#x}", *ARM)["result"]
    assert result["total"] < 20 * MEGA
    assert found(result)[0] == (ROOT, "TTBR1_EL1")


def test_a_range_says_where_to_look(capsys, ram: str) -> None:
    result = ask(capsys, "-s", ram, *ARM, f"{BASE:#x},+0x500000", status=1)["result"]
    assert (result["total"], result["roots"]) == (5 * MEGA, [])
    result = ask(capsys, "-s", ram, *ARM, f"{ROOT:#x},+0x400000")["result"]
    assert found(result)[0][0] == ROOT


def test_ctrl_c_ends_the_looking_and_not_the_ranking(capsys, ram: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def impatient(search):
        for surveyed in real(search):
            if surveyed.examined_bytes >= 8 * MEGA:
                raise KeyboardInterrupt
            yield surveyed

    real = find_roots_run.Search.look
    monkeypatch.setattr(find_roots_run.Search, "look", impatient)
    assert main(["find-roots", "-s", ram, *ARM]) == 0
    assert "not looked at  8MB: interrupted" in capsys.readouterr().out
    result = ask(capsys, "-s", ram, *ARM)["result"]
    assert (result["interrupted"], result["examined"]) == (True, 8 * MEGA)
    assert found(result)[0][0] == ROOT


INFO = (
    "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffc008400000\nNUMBER(VA_BITS)=39\n"
    f"NUMBER(kimage_voffset)=0x{0xFFFFFFC008400000 - ROOT:x}\nNUMBER(TCR_EL1_T1SZ)=0x19\nNUMBER(MAX_PHYSMEM_BITS)=48\n"
)


def test_a_kernels_vmcoreinfo_is_found_and_what_it_says_is_used(capsys, tmp_path: Path) -> None:
    image = both()
    image.data[0x1000 : 0x1000 + len(INFO)] = INFO.encode()
    file = tmp_path / "registers.json"
    result = ask(capsys, "-s", saved(image, tmp_path), *ARM, "--write", str(file))["result"]
    assert result["vmcoreinfo"] == [
        {"address": f"{BASE + 0x1000:#018x}", "release": "6.1.0-test", "root": f"{ROOT:#018x}", "why": None}
    ]
    assert "named" in [each["sign"] for each in result["roots"][0]["evidence"]]
    assert "MAIR_EL1" in json.loads(file.read_text()), "Linux's memory types are known"
    assert any(text.startswith("MAIR_EL1") for text in result["assumed"])


def test_a_vmcoreinfo_that_says_too_little_is_said_to(capsys, tmp_path: Path) -> None:
    image = both()
    text = b"OSRELEASE=2.6.0\nPAGESIZE=4096\n"
    image.data[0x1000 : 0x1000 + len(text)] = text
    assert main(["find-roots", "-s", saved(image, tmp_path), *ARM]) == 0
    assert "VMCOREINFO  at PA 0x40001000, Linux 2.6.0: VMCOREINFO has no" in capsys.readouterr().out


def test_a_vmcoreinfo_that_names_what_is_no_root_is_not_believed(capsys, tmp_path: Path) -> None:
    image = both()
    text = INFO.replace(f"0x{0xFFFFFFC008400000 - ROOT:x}", f"0x{0xFFFFFFC008400000 - ROOT - 0x3000:x}").encode()
    image.data[0x1000 : 0x1000 + len(text)] = text
    result = ask(capsys, "-s", saved(image, tmp_path), *ARM)["result"]
    assert result["chosen"] == [f"{ROOT:#018x}"]
    assert int(result["vmcoreinfo"][0]["root"], 16) == ROOT + 0x3000
    assert "named" not in [each["sign"] for each in result["roots"][0]["evidence"]]


# A hypervisor's stop

GUEST, GUESTS_MEMORY = BASE + 11 * MEGA, BASE + 12 * MEGA
EL2H = 0b1001


def hypervisor(tmp_path: Path, image: Image, first: int) -> list[str]:
    """Return an image a virtual machine whose memory is at `first`, which VTTBR_EL2 holds while the CPU is at EL2."""
    tables = Tables(TnSZ=25, root=GUEST, _next=GUEST + 4096)
    for page in range(512):
        at = tables.map(first + page * 4096, GUESTS_MEMORY + page * 4096, SH=3)
        tables.memory[at] = int(tables.memory[at]) | 0b11 << 6 | 0b1111 << 2
    image.add(tables)
    vtcr = 25 | 1 << 6 | 3 << 12 | 5 << 16 | 1 << 31
    values = {"cpsr": EL2H, "SCTLR_EL2": 0, "HCR_EL2": 1 << 31 | 1, "VTCR_EL2": vtcr, "VTTBR_EL2": GUEST | 3 << 48}
    (tmp_path / "stop.json").write_text(json.dumps({name: hex(value) for name, value in values.items()}))
    return ["-s", saved(image, tmp_path), *ARM, "--registers", str(tmp_path / "stop.json")]


def test_at_a_hypervisors_stop_the_stage_2_that_it_has_loaded_is_not_lost(capsys, tmp_path: Path) -> None:
    result = ask(capsys, *hypervisor(tmp_path, Image(), 0))["result"]
    [root] = [each for each in result["roots"] if each["register"] == "VTTBR_EL2"]
    assert int(root["root"], 16) == GUEST
    assert "held" in [one["sign"] for one in root["evidence"]]
    assert result["chosen"] == [f"{GUEST:#018x}"]


def test_a_root_that_was_assumed_is_held_by_nobody_and_other_assumptions_are_nothing_to_it(capsys, tmp_path: Path):
    words = hypervisor(tmp_path, Image(), 0)
    values = json.loads((tmp_path / "stop.json").read_text())
    for assumed, held in (("SCTLR_EL2: M=0", True), (f"VTTBR_EL2={GUEST:#x}, VTCR_EL2: T0SZ=25", False)):
        (tmp_path / "stop.json").write_text(json.dumps({**values, "assumed": [assumed]}))
        [root] = ask(capsys, *words)["result"]["roots"]
        assert ("held" in [one["sign"] for one in root["evidence"]]) is held


def test_a_root_whose_digits_were_taken_as_hexadecimal_is_held_all_the_same(capsys, tmp_path: Path) -> None:
    """How a value was read is said as well, and is no assumption about the register."""
    words = hypervisor(tmp_path, Image(), 0)
    values = json.loads((tmp_path / "stop.json").read_text())
    (tmp_path / "stop.json").write_text(json.dumps({**values, "VTTBR_EL2": f"{GUEST:x}"}))
    answer = ask(capsys, *words)
    assert any(each.startswith("VTTBR_EL2: ") for each in answer["assumed"])
    [root] = [each for each in answer["result"]["roots"] if each["register"] == "VTTBR_EL2"]
    assert "held" in [one["sign"] for one in root["evidence"]]


def test_what_a_kernel_names_is_an_address_of_its_own_machine(capsys, tmp_path: Path) -> None:
    """A guest's VMCOREINFO names an IPA, and to the hypervisor's own kernel that number is another page."""
    image = both()
    at = GUESTS_MEMORY + 0x1000 - BASE
    image.data[at : at + len(INFO)] = INFO.encode()
    words = hypervisor(tmp_path, image, ROOT - 0x5000)
    result = ask(capsys, *words)["result"]
    [named] = result["vmcoreinfo"]
    assert (int(named["ipa"], 16), int(named["root"], 16)) == (ROOT, GUESTS_MEMORY + 0x5000)
    assert int(named["virtual_machine"], 16) == GUEST
    [kernels] = [each for each in result["roots"] if int(each["root"], 16) == ROOT]
    assert "named" not in [one["sign"] for one in kernels["evidence"]]
    assert result["chosen"] == [f"{GUEST:#018x}"], "the kernel that was found is no guest of this machine"
    assert main(["find-roots", *words]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"names IPA {ROOT:#x}, which is PA {GUESTS_MEMORY + 0x5000:#x} to the virtual machine at {GUEST:#x}" in said
    assert f"not chosen TTBR1_EL1 = {ROOT:#x}: another guest's than VTTBR_EL2 = {GUEST:#x}" in said


def test_a_crash_that_has_registers_says_which_of_them_holds_a_root(capsys) -> None:
    result = ask(capsys, "-s", str(OSV))["result"]
    assert found(result) == [(0x408E5000, "TTBR0_EL1"), (0x408DA000, "TTBR1_EL1")]
    assert all("held" in [one["sign"] for one in each["evidence"]] for each in result["roots"])


@pytest.mark.parametrize(
    ("core", "roots"), [(OSV, (0x408E5000, 0x408DA000)), (DEMO, (0x40206000, 0x40207000))], ids=["osv", "demo"]
)
def test_the_tables_of_a_capture_are_enough_to_map_what_it_maps(
    capsys, tmp_path: Path, core: Path, roots: tuple[int, int]
) -> None:
    """Its pages alone, as raw images: no register, and nothing else of the guest."""
    memory = open_source(str(core)).memory
    words = [*ARM]
    for first, size in memory.places():
        (tmp_path / f"{first:x}").write_bytes(memory.read(first, size))
        words += ["-s", f"{tmp_path / f'{first:x}'}@{first:#x}"]
    file = tmp_path / "registers.json"
    assert {root for root, _ in found(ask(capsys, *words)["result"])} == {*roots}
    chosen = [word for root in roots for word in ("--root", f"{root:#x}")]
    assert len(ask(capsys, *words, *chosen, "--write", str(file))["result"]["chosen"]) == 2
    ours = ask(capsys, *words, "--registers", str(file), command="map")["result"]
    real = ask(capsys, "-s", str(core), command="map")["result"]
    assert shape(ours) == shape(real)


def shape(result: dict) -> list[tuple]:
    """Return what a map says but for memory types, of which tables have only an index."""
    kept = ("rights", "accessed", "dirty", "global", "contiguous", "guarded")
    return [
        (*(run[name] for name in ("first", "size", "output", "block_size", "level")),
         *(str(run["attributes"][name]) for name in kept))
        for run in result["runs"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (2, []),
        (2, ["-s", "{ram}", "--root", "nosymbol"]),
        (2, ["-s", "{ram}", "0x2000,0x1000"]),
        (2, ["-s", "{ram}", "1", "2"]),
        (3, ["-s", "{ram}", *ARM, "--write", "/nonexistent/folder/registers.json"]),
        (3, ["-s", "/nonexistent/ram@0x40000000"]),
    ],
)
def test_bad_input_is_one_line(capsys, ram: str, status: int, words: list[str]) -> None:
    assert main(["find-roots", *(word.format(ram=ram) for word in words)]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("gdbtools: ")


@pytest.mark.parametrize("text", ['{"assumed": 7}', '{"assumed": [1]}', '{"assumed": {"a": 1}}', '["assumed"]'])
def test_a_registers_file_whose_assumptions_are_none_is_refused(capsys, ram: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    assert main(["map", "-s", ram, *ARM, "--registers", str(tmp_path / "r.json")]) == 2
    assert "is not a JSON object of register names" in capsys.readouterr().err
