"""`gdbtools guests` and `--guest`: which guests there are, which CPU has which, and what may be asked of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.addresses import PA
from gdbtools.analysis.guests.census import census
from gdbtools.analysis.guests.memory import GuestMemory, OwnPhysical
from gdbtools.arch import ARCHITECTURES
from gdbtools.cli import main
from gdbtools.errors import Unreadable
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu, Machine
from tests import xen_memory
from tests.places import ROOT
from tests.xen_memory import BACK_AT, DOMAINS, RAM, ROOTS, SEEN, at_el2, held, source, xen

CAPTURES = ROOT / "fixtures/captures"
Capsys = pytest.CaptureFixture[str]


def ask(capsys: Capsys, command: str, *words: str, status: int = 0) -> dict[str, Any]:
    assert main([command, *words, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def text(capsys: Capsys, command: str, *words: str) -> str:
    main([command, *words])
    return " ".join(capsys.readouterr().out.split())


def refused(capsys: Capsys, command: str, *words: str) -> str:
    assert main([command, *words]) in (2, 3)
    return capsys.readouterr().err


def listed(found: dict[str, Any]) -> list[tuple[int, int | None, str | None, int]]:
    guests = found["result"]["guests"]
    return [(each["number"], each["identifier"], each["name"], int(each["root"], 16)) for each in guests]


BOTH = [(0, 1, "domain 0", ROOTS[0]), (1, 2, "domain 1", ROOTS[1])]


def test_a_domain_that_no_cpu_holds_is_found_by_what_xen_keeps_of_it(tmp_path: Path, capsys: Capsys) -> None:
    words = source(tmp_path / "xen.core", held(0))
    found = ask(capsys, "guests", *words)
    assert listed(found) == BOTH
    first, second = found["result"]["guests"]
    assert (first["memory"], second["memory"], second["input_bits"]) == (8 * 4096, 8 * 4096, 39)
    assert [(on["cpu"], on["runs"]) for on in first["cpus"]] == [(0, True)]
    assert second["cpus"] == []
    assert first["virtual_cpus"] == [{"number": 0, "processor": 0}]
    assert f"struct domain is at PA {DOMAINS[1]:#x}" in second["evidence"][0]


def test_guests_have_the_same_numbers_whichever_cpu_holds_which(tmp_path: Path, capsys: Capsys) -> None:
    for cpus in ((held(0), held(1)), (held(1), held(0)), (at_el2(1),), (held(1), at_el2(1))):
        assert listed(ask(capsys, "guests", *source(tmp_path / "xen.core", *cpus))) == BOTH


def test_what_a_cpu_at_el2_holds_is_the_last_guest_that_was_loaded_and_said_to_be(
    tmp_path: Path, capsys: Capsys
) -> None:
    words = source(tmp_path / "xen.core", at_el2(1), held(0))
    found = ask(capsys, "guests", *words)["result"]["guests"]
    assert [(on["cpu"], on["runs"], on["virtual_cpu"]) for on in found[1]["cpus"]] == [(0, False, f"{0:#018x}")]
    shown = text(capsys, "guests", *words)
    assert (
        "CPU 0 holds guest 1, as its virtual CPU of affinity 0x0; the CPU is at EL2: VTTBR_EL2 is that of the" in shown
    )
    assert "CPU 1 runs guest 0" in shown


def test_a_page_whose_pointer_does_not_lead_back_to_it_is_no_domain(tmp_path: Path, capsys: Capsys) -> None:
    memory = xen()
    memory.words[DOMAINS[1] + BACK_AT] += 0x1000
    assert listed(ask(capsys, "guests", *source(tmp_path / "xen.core", held(0), memory=memory))) == BOTH[:1]
    memory.words[DOMAINS[0] + BACK_AT] += 0x1000
    found = ask(capsys, "guests", *source(tmp_path / "xen.core", held(0), memory=memory))
    assert listed(found)[0] == (0, 1, None, ROOTS[0]), "nothing that can be shown says whose it is"


@pytest.mark.parametrize("domain_at", [16, 24])
def test_a_virtual_cpu_is_found_wherever_the_release_has_its_pointer_to_the_domain(
    tmp_path: Path, capsys: Capsys, domain_at: int
) -> None:
    words = source(tmp_path / "xen.core", held(0), memory=xen(domain_at))
    found = ask(capsys, "guests", *words)["result"]["guests"]
    assert [each["virtual_cpus"] for each in found] == [[{"number": 0, "processor": each}] for each in (0, 1)]


def test_a_virtual_cpu_that_does_not_point_back_is_not_told(tmp_path: Path, capsys: Capsys) -> None:
    memory = xen()
    memory.words[xen_memory.HEAP + 0x5000 + 16] += 0x1000
    found = ask(capsys, "guests", *source(tmp_path / "xen.core", held(0), memory=memory))["result"]["guests"]
    assert [each["virtual_cpus"] for each in found] == [[{"number": 0, "processor": 0}], []]
    assert "its virtual CPUs were not found" in found[1]["limits"]


def test_an_empty_second_stage_is_no_guest_s(tmp_path: Path, capsys: Capsys) -> None:
    """As Xen loads it with VMID 0 where it idles."""
    memory, idle = xen(), 0x5080_0000
    memory.words[idle] = 0
    words = source(tmp_path / "xen.core", at_el2(0, VTTBR_EL2=idle), held(0), memory=memory)
    found = ask(capsys, "guests", *words)
    assert listed(found) == BOTH
    assert [(each["cpu"], each["identifier"]) for each in found["result"]["empty"]] == [(0, 0)]
    assert "CPU 0 holds an empty second stage, VMID 0 at PA 0x50800000: no guest's" in text(capsys, "guests", *words)


def test_a_guest_of_riscv_is_told_by_hgatp(tmp_path: Path, capsys: Capsys) -> None:
    registers = {"hgatp": hex(8 << 60 | 3 << 44 | 0x8000_0000 >> 12), "priv": "0x1", "virt": "0x0", "satp": "0x0"}
    (tmp_path / "registers.json").write_text(json.dumps(registers))
    (tmp_path / "ram").write_bytes((0x2000_0001 | 0xDE).to_bytes(8, "little") + bytes(16376))
    words = [
        "-s",
        f"{tmp_path / 'ram'}@0x80000000",
        "--arch",
        "riscv64",
        "--registers",
        str(tmp_path / "registers.json"),
    ]
    [guest] = ask(capsys, "guests", *words)["result"]["guests"]
    assert (guest["identifier"], guest["root"], guest["cpus"][0]["runs"]) == (3, f"{0x8000_0000:#018x}", False)
    assert "hgatp is that of the last guest" in guest["cpus"][0]["caveat"]


def test_where_registers_name_no_second_stage_one_line_says_what_is_missing(tmp_path: Path, capsys: Capsys) -> None:
    (tmp_path / "registers.json").write_text(json.dumps({"cr3": "0x1000", "cr0": "0x80000001", "cr4": "0x20"}))
    (tmp_path / "ram").write_bytes(bytes(16384))
    words = ["-s", f"{tmp_path / 'ram'}@0", "--arch", "x86_64", "--registers", str(tmp_path / "registers.json")]
    shown = text(capsys, "guests", *words)
    assert shown.startswith("No guest is known.")
    assert "the root of a second stage is in a VMCB (ncr3) or a VMCS (eptp)" in shown


# --guest


@pytest.mark.parametrize(("number", "cpus"), [(0, (held(0),)), (1, (held(0), held(1))), (0, (at_el2(0),))])
def test_a_walk_for_a_guest_goes_through_both_its_stages(
    tmp_path: Path, capsys: Capsys, number: int, cpus: tuple[dict[str, int], ...]
) -> None:
    words = source(tmp_path / "xen.core", *cpus)
    found = ask(capsys, "walk", hex(SEEN), *words, "--guest", str(number))["result"]
    assert int(found["output"], 16) == RAM[number] + 5 * 4096
    assert found == ask(capsys, "walk", hex(SEEN), *words, "--guest", f"vmid={number + 1}")["result"]


def test_what_is_another_virtual_cpu_s_perhaps_is_said_of_a_walk_from_el2(tmp_path: Path, capsys: Capsys) -> None:
    said = "guest 0: its own stage is that of the last virtual CPU that CPU 0 has loaded"
    words = source(tmp_path / "xen.core", at_el2(0))
    assert ask(capsys, "walk", hex(SEEN), *words, "--guest", "0")["assumed"] == [said]
    assert "assumed" not in ask(capsys, "walk", hex(SEEN), *source(tmp_path / "xen.core", held(0)), "--guest", "0")


def test_the_own_stage_of_a_guest_that_no_cpu_holds_is_refused_and_its_second_stage_is_not(
    tmp_path: Path, capsys: Capsys
) -> None:
    words = source(tmp_path / "xen.core", held(0))
    assert "no CPU holds guest 1" in refused(capsys, "walk", hex(SEEN), *words, "--guest", "1")
    assert "--regime stage2 --guest 1" in refused(capsys, "map", *words, "--guest", "1")
    ipa = hex(xen_memory.IPA + 0x5000)
    found = ask(capsys, "walk", ipa, *words, "--guest", "1", "--regime", "stage2")["result"]
    assert int(found["output"], 16) == RAM[1] + 0x5000
    [run] = ask(capsys, "map", *words, "--guest", "1", "--regime", "stage2")["result"]["runs"]
    assert (run["first"], run["output"]) == (f"{xen_memory.IPA:#018x}", f"{RAM[1]:#018x}")


def test_the_own_stage_of_a_guest_is_refused_while_a_host_is_in_el1(tmp_path: Path, capsys: Capsys) -> None:
    """As KVM without VHE has it: VM is 0, and what EL1's registers hold is the host's."""
    words = source(tmp_path / "xen.core", held(0, HCR_EL2=1 << 31))
    assert "HCR_EL2.VM is 0: nothing shows that EL1's registers" in refused(
        capsys, "walk", hex(SEEN), *words, "--guest", "0"
    )


def test_the_census_is_of_the_guest_that_is_asked(tmp_path: Path, capsys: Capsys) -> None:
    words = source(tmp_path / "xen.core", held(0))
    for number, root in enumerate(ROOTS):
        found = ask(capsys, "stage2", *words, "--guest", str(number))["result"]
        assert (int(found["root"], 16), found["memory"]) == (root, 8 * 4096)
        assert len(found["cpus"]) == 1 - number


@pytest.mark.parametrize(
    ("guest", "said"),
    [
        ("7", "there is no guest 7: 2 guests are known, and `guests` lists them"),
        ("vmid=9", "there is no guest of VMID 9"),
        ("dom0", "'dom0' is no guest; write its number, as `guests` lists them, or vmid=NUMBER"),
        ("asid=1", "'asid=1' is no guest"),
    ],
)
def test_a_guest_that_there_is_not_is_refused_with_those_that_there_are(
    tmp_path: Path, capsys: Capsys, guest: str, said: str
) -> None:
    assert said in refused(capsys, "walk", "0", *source(tmp_path / "xen.core", held(0)), "--guest", guest)


def test_two_captures_are_compared_by_the_same_guest_of_each(tmp_path: Path, capsys: Capsys) -> None:
    before = source(tmp_path / "before.core", held(0))[1]
    memory = xen()
    memory.words[ROOTS[1] + 0x2000 + 8] &= ~1
    after = source(tmp_path / "after.core", held(0), memory=memory)[1]
    asked = ("--regime", "stage2", "--ignore", "registers")
    assert ask(capsys, "diff", before, after, *asked, "--guest", "0")["result"]["changes"] == []
    [change] = ask(capsys, "diff", before, after, *asked, "--guest", "1", status=1)["result"]["changes"]
    assert change["first"] == f"{xen_memory.IPA + 0x1000:#018x}"


# What else may be asked for one guest


def test_a_capture_for_a_guest_has_its_tables_and_what_shows_whose_they_are(tmp_path: Path, capsys: Capsys) -> None:
    words, kept = source(tmp_path / "xen.core", held(0)), tmp_path / "kept.core"
    asked = (hex(xen_memory.IPA + 0x5000), "--regime", "stage2", "--guest", "1")
    assert main(["capture", *words, "--guest", "1", str(kept)]) == 0
    capsys.readouterr()
    assert listed(ask(capsys, "guests", "-s", str(kept))) == BOTH
    assert ask(capsys, "walk", *asked, "-s", str(kept)) == ask(capsys, "walk", *asked, *words)
    assert main(["capture", *words, str(kept)]) == 0
    capsys.readouterr()
    assert listed(ask(capsys, "guests", "-s", str(kept))) == [(0, 1, None, ROOTS[0])], "without, only what a CPU holds"


def test_a_guest_has_its_memory_by_its_own_addresses() -> None:
    memory, ipa = xen(), xen_memory.IPA
    memory.words[ROOTS[1] + 0x2000 + 8], memory.words[ROOTS[1] + 0x2000 + 16] = (
        memory.words[ROOTS[1] + 0x2000 + 16],
        memory.words[ROOTS[1] + 0x2000 + 8],
    )
    machine = Machine(ARCHITECTURES["aarch64"], memory, (Cpu(0, FixedRegisters(held(1), "a test")),))
    [regime] = machine.architecture.regimes(machine.register, "stage2")
    ours = OwnPhysical(GuestMemory(census(regime, memory.read, None), memory.read), "the memory of guest 1")
    assert ours.places() == [(ipa, 8 * 4096)]
    memory.words |= {RAM[1] + 0x1000 + 4088: 11, RAM[1] + 0x2000: 22, RAM[1] + 0x2000 + 4088: 33}
    assert ours.read(PA(ipa + 0x1000), 8) == (22).to_bytes(8, "little"), "the second page is the machine's third"
    assert ours.read(PA(ipa + 0x1000 + 4088), 16)[:8] == (33).to_bytes(8, "little")
    for outside in (ipa - 8, ipa + 8 * 4096 - 8):
        with pytest.raises(Unreadable, match="maps no memory there"):
            ours.read(PA(outside), 16)


def test_roots_of_a_guest_are_found_at_its_own_addresses_and_written_nowhere(tmp_path: Path, capsys: Capsys) -> None:
    words = source(tmp_path / "xen.core", held(0))
    assert "--write is for registers of the machine" in refused(
        capsys, "find-roots", *words, "--guest", "1", "--write", str(tmp_path / "made.json")
    )
    found = ask(capsys, "find-roots", *words, "--guest", "1", status=1)["result"]
    assert (found["guest"], found["total"]) == ("1", 8 * 4096), "its memory, and nothing of the machine's"


NESTED = ["-s", str(CAPTURES / "nested.core")]


def test_of_a_guest_that_may_run_nothing_more_is_said(capsys: Capsys) -> None:
    """The root is one that a capture has: no register of x86-64 says whether its guest runs."""
    shown = text(capsys, "guests", *NESTED)
    assert shown.startswith("1 guest. Whether it runs now is not known.")
    [on] = ask(capsys, "guests", *NESTED)["result"]["guests"][0]["cpus"]
    assert on["runs"] is None


def test_a_cpu_whose_registers_say_nothing_is_not_said_to_hold_no_guest(capsys: Capsys) -> None:
    words = ["-s", f"{CAPTURES / 'nested.core'}@0", "--arch", "x86-64"]
    found = ask(capsys, "guests", *words)["result"]
    assert (found["cpus_unread"], found["cpus_without"]) == ([0], [])
    assert "CPU 0 what it holds is not known" in text(capsys, "guests", *words)


def test_a_guest_s_own_stage_is_walked_where_its_root_is_given(capsys: Capsys) -> None:
    bare = ask(capsys, "walk", "0x50008", "--with", "cr3=0x10000", *NESTED)["result"]
    for given in (["--with", "CR3=0x10000"], ["--root", "0x10000"]):
        found = ask(capsys, "walk", "0x50008", "--guest", "0", *given, *NESTED)
        assert (found["result"]["output"], found["result"]["steps"]) == (bare["output"], bare["steps"])
        assert any("what is not supposed of its own stage" in each for each in found["assumed"])
    assert "give it: --with cr3=0x..." in refused(capsys, "walk", "0x50008", "--guest", "0", *NESTED)


def test_what_is_suggested_of_a_guest_can_be_asked(tmp_path: Path, capsys: Capsys) -> None:
    assert "next stage2 --guest 0, walk VA --guest 0 --with cr3=0x..." in text(capsys, "guests", *NESTED)
    # One that nobody holds is asked by its second stage alone.
    words = source(tmp_path / "xen.core", held(1))
    assert "next stage2 --guest 0, walk IPA --regime stage2 --guest 0" in text(capsys, "guests", *words)
    ask(capsys, "walk", f"{xen_memory.IPA:#x}", "--regime", "stage2", "--guest", "0", *words)


# What an audit says of them.


def test_an_audit_holds_guests_against_each_other_that_no_cpu_holds(tmp_path: Path, capsys: Capsys) -> None:
    """One CPU has one of them; the other one's second stage is known by what Xen keeps of it."""
    words = ["--rule", "guest-isolation"]
    ask(capsys, "audit", *words, *source(tmp_path / "xen.core", held(0)))
    memory = xen()
    memory.words[ROOTS[1] + 0x2000 + 7 * 8] -= RAM[1] - RAM[0]
    given = source(tmp_path / "planted.core", held(0), memory=memory)
    [found] = ask(capsys, "audit", *words, *given, status=1)["result"]["findings"]
    assert found["said"] == (
        f"guest 0 (domain 0) and guest 1 (domain 1) have the same 4KB of memory at PA {RAM[0] + 7 * 4096:#x}"
    )
    memory.words[ROOTS[1] + 0x2000 + 7 * 8] &= ~1
    given = source(tmp_path / "planted.core", held(0), memory=memory)
    assert ask(capsys, "audit", *words, *given, status=1)["result"]["findings"], "Xen sets that bit again"


def test_a_finding_of_a_guest_that_no_cpu_holds_is_asked_about_by_its_number(tmp_path: Path, capsys: Capsys) -> None:
    memory = xen()
    memory.words[ROOTS[1] + 0x2000 + 7 * 8] = ROOTS[0] | memory.words[ROOTS[1] + 0x2000 + 7 * 8] & 0xFFFF_0000_0000_0FFF
    given = source(tmp_path / "planted.core", held(0), memory=memory)
    [found] = ask(capsys, "audit", "--rule", "guest-isolation", *given, status=1)["result"]["findings"]
    assert found["said"].startswith("guest 1 (domain 1) reaches the level 1 table of a second stage")
    command = found["next"].removeprefix("gdbtools ").split(" -s ")[0]
    assert command == f"walk {0x4400_7000:#x} --regime stage2 --guest 1"
    name, *words = command.split()
    assert ask(capsys, name, *words, *given)["result"]["output"] == f"{ROOTS[0]:#018x}"
