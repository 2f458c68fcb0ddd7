"""RISC-V by the command line: `--arch`, `--registers`, `--privilege`, and what every command says or lacks."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from gdbtools.cli import main
from gdbtools.machine.dumps.capture import NT_PRSTATUS, PT_LOAD, PT_NOTE
from gdbtools.machine.sources import open_source
from tests.arch.riscv.machine import AD, RAM, G, Hart, R, U, V, W, X, guest, pte
from tests.places import ROOT

UPPER = (1 << 64) - (1 << 38)


def image(hart: Hart, folder: Path, size_bytes: int = 0x8_0000) -> str:
    data = bytearray(size_bytes)
    for at, entry in hart.memory.items():
        struct.pack_into("<Q" if hart.xlen == 64 else "<I", data, at - RAM, entry)
    (folder / "ram.bin").write_bytes(data)
    return f"{folder / 'ram.bin'}@{RAM:#x}"


def words(hart: Hart, folder: Path, arch: str | None = None) -> list[str]:
    (folder / "regs.json").write_text(json.dumps({name: hex(value) for name, value in hart.regs.items()}))
    said = ["--arch", arch] if arch else []
    return ["-s", image(hart, folder), "--registers", str(folder / "regs.json"), *said]


def kernel() -> Hart:
    """A kernel of Sv39: code and data of its own at the top, and two pages of a process at the bottom."""
    hart = Hart({"satp": 8 << 60 | 5 << 44 | RAM >> 12, "menvcfg": 1 << 62, "mstatus": 0, "priv": 1, "pc": UPPER + 0x10,
                 "sp": UPPER + 0x2000})  # fmt: skip
    hart.put(RAM, 0, pte(RAM + 0x1000, V))
    hart.put(RAM + 0x1000, 0, pte(RAM + 0x2000, V))
    hart.put(RAM + 0x2000, 1, pte(RAM + 0x2_0000, V | R | X | U | AD))
    hart.put(RAM + 0x2000, 2, pte(RAM + 0x2_1000, V | R | W | U | AD))
    hart.put(RAM, 256, pte(RAM + 0x3000, V))
    hart.put(RAM + 0x3000, 0, pte(RAM + 0x4000, V))
    for page in range(8):
        hart.put(RAM + 0x4000, page, pte(RAM + 0x3_0000 + 0x1000 * page, V | R | G | AD | (X if page < 2 else W)))
    return hart


def narrow() -> Hart:
    """A hart of 32 bits: Sv32, with a megapage."""
    hart = Hart(
        {"satp": 1 << 31 | RAM >> 12, "mstatus": 0, "menvcfg": 0, "menvcfgh": 0, "priv": 1, "pc": 0x1000}, xlen=32
    )
    hart.put(RAM, 0, pte(RAM + 0x1000, V))
    hart.put(RAM + 0x1000, 1, pte(RAM + 0x2_0000, V | R | W | AD))
    hart.put(RAM, 1023, pte(0x3_0040_0000, V | R | X | U | AD))
    return hart


def ask(capsys: pytest.CaptureFixture[str], *given: str, status: int = 0) -> list[Any]:
    found = main([*given, "--json"])
    out, err = capsys.readouterr()
    assert found == status, err or out
    return [json.loads(line)["result"] for line in out.splitlines()]


@pytest.mark.parametrize(("access", "privilege", "va", "expected"), [
    ("read", "u", 0x1008, RAM + 0x2_0008), ("write", "u", 0x1008, "0x0f"), ("execute", "u", 0x1008, RAM + 0x2_0008),
    ("read", "s", 0x1008, "0x0d"), ("execute", "s", 0x1008, "0x0c"), ("execute", "s", UPPER + 4, RAM + 0x3_0004),
    ("write", "s", UPPER, "0x0f"), ("read", "u", UPPER, "0x0d"), ("read", "s", 1 << 40, "0x0d"),
])  # fmt: skip
def test_walk_answers_the_scause_of_an_access(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, access: str, privilege: str, va: int, expected: int | str
) -> None:
    given = [*words(kernel(), tmp_path, "riscv64"), "--access", access, "--privilege", privilege]
    [answer] = ask(capsys, "walk", hex(va), *given, status=int(isinstance(expected, str)))
    if isinstance(expected, int):
        assert answer["output"] == f"{expected:#018x}"
    else:
        assert answer["fault"]["status"] == expected
    assert answer["access"] == {"kind": access, "privilege": privilege, "unprivileged": False}
    assert [step["level"] for step in answer["steps"]] == [2, 1, 0][: len(answer["steps"])]


def test_without_an_access_a_fault_has_no_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    [answer] = ask(capsys, "walk", "0x5000", *words(kernel(), tmp_path), status=1)
    assert (answer["fault"]["status"], answer["fault"]["kind"], answer["fault"]["level"]) == (None, "translation", 0)


@pytest.mark.parametrize(("privilege", "guest_flags", "tables", "expected"), [
    ("vs", V | R | W | U | AD, None, f"{RAM + 0x2_0010:#018x}"), ("vu", V | R | W | U | AD, None, "0x0f"),
    ("vs", V | R | U | AD, V | R | W | U | AD, "0x17"), ("vs", V | R | W | U | AD, V | X | U | AD, "0x17"),
])  # fmt: skip
def test_a_guests_access_goes_through_both_stages(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, privilege: str, guest_flags: int, tables: int | None,
    expected: str,
) -> None:  # fmt: skip
    hart = guest(V | R | W | AD, guest_flags, tables)
    hart.regs |= {"priv": 1, "virt": 0}
    given = [*words(hart, tmp_path, "riscv64"), "--access", "write", "--privilege", privilege]
    faults = len(expected) == 4
    [answer] = ask(capsys, "walk", "0x10", *given, status=int(faults))
    assert answer["regime"].startswith("VS-mode, vsatp (Sv39) through G-stage, hgatp (Sv39x4)")
    if faults:
        assert answer["fault"]["status"] == expected
        assert answer["fault"]["s1ptw"] is (tables == V | X | U | AD)
    else:
        assert (answer["output"], answer["ipa"]) == (expected, f"{0x3010:#018x}")


def test_a_guests_fault_is_told_in_the_manuals_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    hart = guest(V | R | W | AD, tables=V | X | U | AD)
    given = words(hart, tmp_path)
    assert main(["walk", "0x10", *given, "--access", "write"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(
        "0x10 (VS write): store/AMO guest-page fault (scause 23) of a VS-stage table walk, level 0 it is not readable: "
        f"R [1] = 0 in the level 0 descriptor at PA {RAM + 0x5000:#x}"
    )
    assert "not fetched: G-stage refuses G-stage of the fetch of the next descriptor, GPA 0x0:" in said
    assert "stage 2" not in said.lower()
    assert "IPA" not in said
    assert main(["walk", "0x1000", *words(kernel(), tmp_path), "--access", "write", "--privilege", "u"]) == 1
    assert capsys.readouterr().out.startswith("0x1000 (U write): store/AMO page fault (scause 15), level 0\n")
    assert main(["walk", "0x5000", *words(kernel(), tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("0x5000: page fault, level 0\n")


@pytest.mark.parametrize(("xlen", "digits"), [(64, 16), (32, 8)])
def test_a_value_has_as_many_digits_as_it_is_wide_and_json_always_as_many(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, xlen: int, digits: int
) -> None:
    hart = kernel() if xlen == 64 else narrow()
    given = words(hart, tmp_path, f"riscv{xlen}")
    [walked] = ask(capsys, "walk", "0x1000", *given)
    leaf = int(walked["steps"][-1]["descriptor"], 16)
    [satp] = ask(capsys, "regs", "satp", *given)
    assert {len(each) for each in (walked["steps"][-1]["descriptor"], satp["value"])} == {2 + 16}
    for command, value in (
        (["walk", "0x1000", *given], leaf),
        (["regs", *given], hart.regs["satp"]),
        (["regs", *given], hart.regs["priv"]),
        (["regs", "satp", *given], hart.regs["satp"]),
        (["pte", hex(leaf), "--arch", f"riscv{xlen}"], leaf),
    ):
        assert main(command) == 0
        shown = re.findall(rf"(?<!\w)0x0*{value:x}(?!\w)", capsys.readouterr().out)
        assert f"0x{value:0{digits}x}" in shown, command
        assert max(map(len, shown)) == 2 + digits, command


def test_status_regs_and_map_answer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = words(kernel(), tmp_path)
    [status] = ask(capsys, "status", *given)
    assert (status["architecture"], status["privilege"]) == ("riscv64", "s")
    assert [each["first"] for each in status["regimes"]] == ["0x0000000000000000", f"{UPPER:#018x}"]
    assert {each["root"] for each in status["regimes"]} == {f"{RAM:#018x}"}
    [mapped] = ask(capsys, "map", *given)
    assert [(run["first"], run["size"]) for run in mapped["runs"]] == [
        (f"{first:#018x}", size) for first, size in
        ((0x1000, 0x1000), (0x2000, 0x1000), (UPPER, 0x2000), (UPPER + 0x2000, 0x6000))
    ]  # fmt: skip
    assert mapped["runs"][0]["attributes"]["rights"] == {"u": "r-x", "s": "r--"}
    assert main(["regs", *given]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "satp 0x8000500000080000 MODE=Sv39 PPN=0x80000 ASID=0x5" in said
    [register] = ask(capsys, "regs", "satp.MODE", *given)
    assert register["fields"] == {"MODE": f"{8:#018x}"}


def test_a_capture_opens_again_and_says_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for number, hart in enumerate((kernel(), guest(V | R | W | AD), narrow())):
        folder = tmp_path / str(number)
        folder.mkdir()
        given, core = words(hart, folder, f"riscv{hart.xlen}"), str(folder / "a.core")
        assert main(["capture", core, *given]) == 0
        capsys.readouterr()
        [before], [after] = ask(capsys, "map", *given), ask(capsys, "map", "-s", core)
        assert before["runs"] == after["runs"] != []
        machine = open_source(core)
        assert machine.architecture.name == f"riscv{hart.xlen}"
        for name, value in hart.regs.items():
            assert machine.register(name) == value, name
        ask(capsys, "diff", core, core)
        assert main(["report", "-s", core, "-o", str(folder / "a.html")]) == 0
        capsys.readouterr()


def test_the_narrow_one_has_its_own_entries_and_addresses(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = words(narrow(), tmp_path)
    [status] = ask(capsys, "status", *given)
    assert (status["architecture"], len(status["regimes"])) == ("riscv32", 1)
    page, mega = ask(capsys, "walk", "0x1004", "0xffc01234", *given)
    assert (page["output"], page["steps"][-1]["descriptor_address"]) == (
        f"{RAM + 0x2_0004:#018x}",
        f"{RAM + 0x1004:#018x}",
    )
    assert (mega["output"], mega["block_size"]) == (f"{0x3_0040_1234:#018x}", 1 << 22)


def test_the_width_of_registers_says_whose_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert ask(capsys, "status", *words(kernel(), tmp_path))[0]["architecture"] == "riscv64"
    hart = narrow()
    hart.regs = {"satp": hart.regs["satp"], "mstatus": 0}
    assert main(["status", *words(hart, tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said == "gdbtools: nothing says which architecture this is of; say --arch riscv64|riscv32\n"


@pytest.mark.parametrize("bits", [64, 32])
def test_symbols_of_either_width_name_addresses(capsys: pytest.CaptureFixture[str], tmp_path: Path, bits: int) -> None:
    elf = ROOT / f"fixtures/guests/riscv/accessed/accessed{bits}.elf"
    with elf.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        (own,) = table.get_symbol_by_name("fence_all")
    va = int(own["st_value"])
    hart = kernel() if bits == 64 else narrow()
    given = [*words(hart, tmp_path, f"riscv{bits}"), "--elf", str(elf)]
    [answer] = ask(capsys, "walk", "fence_all+4", *given, status=1)
    assert int(answer["input"], 16) == va + 4
    assert main(["walk", hex(va + 4), *given]) == 1
    assert "fence_all" in capsys.readouterr().out


@pytest.mark.parametrize("bits", [64, 32])
def test_qemus_own_dumps_open(tmp_path: Path, bits: int) -> None:
    """An ELF core as `dump-guest-memory` writes it: of 32 bits where the registers are."""
    page = bytes(range(256)) * 16
    if bits == 64:
        status = bytearray(376)
        struct.pack_into("<I", status, 32, 1)
        struct.pack_into("<32Q", status, 112, *range(0x1000, 0x1020))
    else:
        status = bytearray(204)
        struct.pack_into("<I", status, 24, 1)
        struct.pack_into("<32I", status, 72, *range(0x1000, 0x1020))
    note = struct.pack("<III", 5, len(status), NT_PRSTATUS) + b"CORE\0\0\0\0" + status
    header, each = (64, 56) if bits == 64 else (52, 32)
    at = header + 2 * each
    ident = b"\x7fELF" + bytes([bits // 32, 1, 1]).ljust(12, b"\0")
    layout = "<HHIQQQIHHHHHH" if bits == 64 else "<HHIIIIIHHHHHH"
    data = ident + struct.pack(layout, 4, 243, 1, 0, header, 0, 0, header, each, 2, 0, 0, 0)
    if bits == 64:
        data += struct.pack("<IIQQQQQQ", PT_NOTE, 0, at, 0, 0, len(note), 0, 0)
        data += struct.pack("<IIQQQQQQ", PT_LOAD, 0, at + len(note), RAM, RAM, 4096, 4096, 0)
    else:
        data += struct.pack("<IIIIIIII", PT_NOTE, at, 0, 0, len(note), 0, 0, 0)
        data += struct.pack("<IIIIIIII", PT_LOAD, at + len(note), RAM, RAM, 4096, 4096, 0, 0)
    (tmp_path / "vmcore").write_bytes(data + note + page)
    machine = open_source(str(tmp_path / "vmcore"))
    assert machine.architecture.name == f"riscv{bits}"
    assert (machine.register("pc"), machine.register("ra"), machine.register("t6")) == (0x1000, 0x1001, 0x101F)
    assert machine.memory.read(RAM + 4, 4) == bytes([4, 5, 6, 7])


def test_a_value_is_decoded_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    [answer] = ask(capsys, "pte", "200014c7", "--arch", "riscv64", "--level", "0")
    (reading,) = answer["readings"]
    assert (reading["kind"], reading["address"]) == ("page", f"{0x8000_5000:#018x}")
    [answer] = ask(capsys, "pte", "200014d3", "--arch", "riscv64", "--stage", "2", "--level", "0")
    assert answer["readings"][0]["attributes"]["rights"] == {"vu": "r--", "vs": "r--"}
    [answer] = ask(capsys, "pte", "200014c7", "--arch", "riscv32")
    assert [each["levels"] for each in answer["readings"]] == [[1], [0]]


@pytest.mark.parametrize(("command", "status", "said"), [
    ("fault", 3, "has no scause, stval"), ("fixup --dry-run", 3, "has no scause, stval"),
    ("walk 0x1000 --regime el1", 2, "el1 is no regime of RISC-V; there are s, vs, g, m"),
    ("walk 0x1000 --privilege el1", 2, "there are U, VU, VS, S and M"),
    ("walk 0x1000 --privilege vs --regime s", 2, "VS does not run in S-mode, satp"),
    ("walk 0x1000 --privilege vs", 3, "hgatp"),
])  # fmt: skip
def test_what_it_lacks_and_what_is_wrong_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, status: int, said: str
) -> None:
    hart = kernel()
    hart.regs["vsatp"] = 0
    assert main([*command.split(), *words(hart, tmp_path)]) == status
    found = capsys.readouterr()
    assert (found.out, found.err.count("\n")) == ("", 1)
    assert said in found.err


@pytest.mark.parametrize(("register", "value"), [("satp", 11 << 60), ("satp", 1 << 60), ("hgatp", 15 << 60)])
def test_a_reserved_mode_is_said_not_guessed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, register: str, value: int
) -> None:
    hart = guest(V | R | AD)
    hart.regs |= {register: value, "virt": int(register == "hgatp")}
    assert main(["walk", "0x0", *words(hart, tmp_path)]) == 3
    assert f"{register}.MODE is {value >> 60}, which is reserved" in capsys.readouterr().err


@pytest.mark.parametrize(("flags", "read", "code"), [(V | X | AD, 1, 0), (V | R | AD, 0, 1), (V | R | X | AD, 0, 0)])
def test_a_read_of_code_needs_the_right_to_execute_and_no_other(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, flags: int, read: int, code: int
) -> None:
    """As HLVX: what it raises is a load's."""
    hart = guest(flags)
    hart.regs["virt"] = 0
    given = ["walk", *words(hart, tmp_path), "0x10", "--privilege", "vs", "--access"]
    for access, refused in (("read", read), ("read-code", code)):
        (found,) = ask(capsys, *given, access, status=refused)
        assert not refused or found["fault"]["status"] == "0x0d"


def test_a_read_of_code_is_a_guests_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = ["walk", *words(kernel(), tmp_path), hex(UPPER), "--access", "read-code"]
    assert main(given) == 2
    assert "only what is translated as VS or VU reads code by a right to execute, not S" in capsys.readouterr().err
    assert main(["walk", "-s", "fixtures/captures/access-flag.core", "0x40200000", "--access", "read-code"]) == 2
    assert "has no load that needs the right to execute" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0x9000000000080000", "0x180080000"])
def test_a_value_that_is_wider_than_its_register_is_refused(capsys: pytest.CaptureFixture[str], value: str) -> None:
    assert main(["regs", f"satp={value}", "--arch", "riscv32"]) == 2
    assert f"has 32 bits, and {value} does not fit" in capsys.readouterr().err
