"""The verdicts of RISC-V's faults: what may be behind one that the tables permit, and what refuses the others."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gdbtools.addresses import PA
from gdbtools.analysis.faults.descriptor_history import SeenWrite, Sighting
from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.analysis.faults.spurious_causes import suspicions
from gdbtools.analysis.faults.spurious_model import (
    Around,
    Elsewhere,
    RemoteWriter,
    SeenChange,
    SpuriousCause,
    Suspicion,
    Weight,
)
from gdbtools.analysis.faults.writer import Writer, remote_writer, writer
from gdbtools.arch.model import FaultKind
from gdbtools.cli import main
from tests.arch.riscv.assembled import WORDS
from tests.arch.riscv.machine import AD, ADUE, RAM, A, Hart, R, U, V, W, X, guest, paged, pte
from tests.tables import reader

INVALID, LEAF, ELSEWHERE, REPAIRED, BARRIER, TABLE = (
    SpuriousCause.CACHED_INVALID,
    SpuriousCause.STALE_LEAF,
    SpuriousCause.FENCED_ELSEWHERE,
    SpuriousCause.REPAIRED,
    SpuriousCause.MISSING_BARRIER,
    SpuriousCause.STALE_TABLE,
)
LOAD, STORE, GUEST_LOAD, ACCESS = 13, 15, 21, 5
SPP = 1 << 8
PAGE, CODE, TABLES = 0x0, 0x1000, 0x2000
"""Virtual pages: the one that is accessed, the code, and the last level's table itself."""
LAST = RAM + 0x2000
AT = 0x100
"""Where in the code's page the access is."""


def faulted(flags: int, code: int = LOAD, **registers: int) -> Hart:
    """Return a hart that has just come to stvec from S-mode: its page at 0 has these flags."""
    known = {"scause": code, "stval": 0x10, "sepc": CODE + AT, "sstatus": SPP, "stvec": 0x4000, "pc": 0x4000}
    made = paged(flags, **{**known, "medeleg": 1 << code, **registers})
    made.put(LAST, 1, pte(RAM + 0x50_0000, V | R | X | AD))
    made.put(LAST, 2, pte(LAST, V | R | W | AD))
    return made


def diagnosed(made: Hart) -> Diagnosis:
    return diagnose(made.architecture, reader(made.regs), made.read)


def ranked(found: Diagnosis, around: Around | None = None) -> tuple[Suspicion, ...]:
    exceptions = RISCV.exceptions
    return suspicions(found, around or Around(), exceptions)


RISCV: Any = Hart().architecture


def weights(found: Diagnosis, around: Around) -> dict[SpuriousCause, Weight]:
    return {each.cause: each.weight for each in ranked(found, around)}


def test_an_entry_that_was_invalid_when_it_was_cached_is_suspected_first() -> None:
    found = diagnosed(faulted(V | R | W | AD))
    assert found.verdict is Verdict.TABLES_PERMIT
    assert [each.cause for each in ranked(found)] == [INVALID, LEAF, ELSEWHERE, REPAIRED, BARRIER, TABLE]


def seen(value: int) -> SeenChange:
    return SeenChange(Sighting(PA(LAST), 0, value, 0))


def test_what_the_entry_was_tells_whether_a_tlb_kept_it_invalid_or_kept_its_rights() -> None:
    found = diagnosed(faulted(V | R | W | AD, STORE))
    invalid = ranked(found, Around(change=seen(0)))
    assert (invalid[0].cause, invalid[0].weight) == (INVALID, Weight.LIKELY)
    assert LEAF not in [each.cause for each in invalid]
    clean = [each.cause for each in ranked(found, Around(change=seen(pte(RAM, V | R | A))))]
    assert LEAF in clean
    assert INVALID not in clean


def test_alone_nobody_else_repaired_it_and_nobody_fenced_elsewhere() -> None:
    found = weights(diagnosed(faulted(V | R | W | AD)), Around(alone=True))
    assert (found[REPAIRED], found[ELSEWHERE]) == (Weight.UNLIKELY, Weight.UNLIKELY)
    assert found[INVALID] is Weight.POSSIBLE


def run_before(made: Hart, *texts: str) -> Hart:
    """Put code into the code's page so that it ends where the access is."""
    whole = ("c.nop",) * 4 + texts
    code = b"".join(WORDS[text].to_bytes(2 if text.startswith("c.") else 4, "little") for text in whole)
    padded = bytes(-len(code) % 8) + code
    for offset in range(0, len(padded), 8):
        made.memory[RAM + 0x50_0000 + AT - len(padded) + offset] = int.from_bytes(padded[offset : offset + 8], "little")
    return made


def written(*texts: str, **registers: int) -> Writer | None:
    """Return what the code before the access wrote: a5 leads behind the entry, in the page of its table."""
    made = run_before(faulted(V | R | W | AD), *texts)
    register = reader({**made.regs, "a5": TABLES + 8, "a0": PAGE, "a1": 0, **registers})
    return writer(made.architecture, register, made.read, diagnose(made.architecture, register, made.read))


STORES, HERE = "sd a2, -8(a5)", "sfence.vma a0"


def causes(by: Writer) -> dict[SpuriousCause, Weight]:
    return weights(diagnosed(faulted(V | R | W | AD)), Around(writer=by))


def test_a_store_without_a_fence_after_it_shows_it() -> None:
    by = written(STORES, "c.nop")
    assert by is not None
    assert (by.step.pa, by.synchronized, by.invalidated) == (LAST, False, False)
    found = causes(by)
    assert (found[INVALID], found[BARRIER], found[TABLE]) == (Weight.SHOWN, Weight.SHOWN, Weight.POSSIBLE)


@pytest.mark.parametrize(
    "fences", [("sfence.vma",), (HERE,), ("sfence.w.inval", "sinval.vma a0, zero", "sfence.inval.ir")]
)
def test_a_fence_that_covers_it_speaks_against_it(fences: Sequence[str]) -> None:
    by = written(STORES, *fences)
    assert by is not None
    assert (by.synchronized, by.invalidated) == (True, True)
    found = causes(by)
    assert (found[INVALID], found[LEAF], found[BARRIER]) == (Weight.UNLIKELY,) * 3


@pytest.mark.parametrize(
    ("fences", "registers"),
    [
        ((HERE,), {"a0": 0x7000}),
        (("sfence.vma zero, a1",), {"a1": 9}),
        (("sfence.w.inval", "sinval.vma a0, zero"), {}),
        (("sinval.vma a0, zero", "sfence.inval.ir"), {}),
        (("fence rw, rw",), {}),
        (("hfence.gvma zero, zero",), {}),
    ],
)
def test_a_fence_of_something_else_does_not(fences: Sequence[str], registers: dict[str, int]) -> None:
    by = written(STORES, *fences, **registers)
    assert by is not None
    assert by.invalidated is False
    assert causes(by)[INVALID] is Weight.SHOWN


def test_a_fence_of_an_address_does_nothing_for_a_table() -> None:
    """Of rs1 other than x0, SFENCE.VMA is about leaves: what leads to a table needs the whole."""
    middle = RAM + 0x1000
    for fence, reaches in ((HERE, False), ("sfence.vma", True)):
        made = run_before(faulted(V | R | W | AD), STORES, fence)
        made.put(LAST, 2, pte(middle, V | R | W | AD))
        register = reader({**made.regs, "a5": TABLES + 8, "a0": PAGE})
        by = writer(made.architecture, register, made.read, diagnose(made.architecture, register, made.read))
        assert by is not None
        assert (by.step.level.number, by.invalidated, by.synchronized) == (1, reaches, reaches)


def test_another_hart_that_wrote_it_fenced_for_itself_alone() -> None:
    made = run_before(faulted(V | R | W | AD), STORES, HERE)
    found = diagnosed(made)
    other = reader({**made.regs, "pc": CODE + AT, "priv": 1, "a5": TABLES + 8, "a0": PAGE})
    by = remote_writer(made.architecture, other, made.read, found)
    assert by is not None
    assert by.invalidated is True, "on that hart"
    first = ranked(found, Around(remote=RemoteWriter(1, by)))[0]
    assert (first.cause, first.weight) == (ELSEWHERE, Weight.LIKELY)
    nowhere = reader({**made.regs, "pc": CODE + AT, "priv": 1, "a5": 0x3000, "a0": PAGE})
    assert remote_writer(made.architecture, nowhere, made.read, found) is None


def watched(cpu: int, was: int = 0) -> SeenChange:
    """Return a change that a CPU was seen to make by a watchpoint."""
    return replace(seen(was), write=SeenWrite(cpu, CODE, was, pte(RAM, V | R | W | AD)))


def test_a_write_that_was_watched_names_its_hart_unless_it_is_this_one() -> None:
    found = diagnosed(faulted(V | R | W | AD))
    elsewhere = ranked(found, Around(change=watched(1), cpu=0))
    assert (elsewhere[0].cause, elsewhere[0].weight) == (ELSEWHERE, Weight.LIKELY)
    assert (elsewhere[0].change, elsewhere[0].remote) == (watched(1), None)
    own = ranked(found, Around(change=watched(0), cpu=0))
    assert (own[0].cause, own[0].weight) == (INVALID, Weight.LIKELY)
    assert weights(found, Around(change=watched(0), cpu=0))[REPAIRED] is Weight.UNLIKELY


def test_a_table_that_was_there_when_it_was_last_seen_is_what_a_tlb_kept() -> None:
    made = faulted(V | R | W | AD)
    found = diagnosed(made)
    assert found.walk is not None
    middle = found.walk.steps[-2]
    was = SeenChange(Sighting(middle.pa, middle.level.number, pte(LAST, V), 0))
    first = ranked(found, Around(change=was, alone=True))[0]
    assert (first.cause, first.weight) == (TABLE, Weight.LIKELY)


def test_the_same_fault_of_another_hart_comes_before_what_a_tlb_kept() -> None:
    found = diagnosed(faulted(V | R | W | AD))
    assert found.walk is not None
    elsewhere = (Elsewhere(1, found.exception, found.walk.regime.root),)
    first = ranked(found, Around(elsewhere=elsewhere, change=seen(0)))[0]
    assert (first.cause, first.witnesses) == (REPAIRED, (1,))


@pytest.mark.parametrize(
    ("fences", "registers", "instead"),
    [
        (("sfence.vma zero, a1",), {"a1": 9}, "was of address space 9, and satp has 0"),
        (("sfence.w.inval", "sinval.vma a0, zero"), {}, "had no sfence.inval.ir behind it"),
        (("sinval.vma a0, zero", "sfence.inval.ir"), {}, "had no sfence.w.inval before it"),
        (("hfence.gvma zero, zero",), {}, "was of the G-stage"),
    ],
)
def test_what_a_fence_was_of_instead_is_said(fences: Sequence[str], registers: dict[str, int], instead: str) -> None:
    by = written(STORES, *fences, **registers)
    assert by is not None
    assert [(each.reaches, each.instead) for each in by.invalidations] == [(False, instead)]


Ask = Callable[..., Any]


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Return what asks `fault` of a hart's memory as an image, and gives its JSON and its text."""

    def asked(made: Hart, command: str = "fault") -> tuple[dict[str, Any], str]:
        end = max(made.memory) + 0x1000
        image = bytearray(end - RAM)
        for at, word in made.memory.items():
            struct.pack_into("<Q", image, at - RAM, word)
        (tmp_path / "ram").write_bytes(image)
        (tmp_path / "registers").write_text(json.dumps({name: hex(value) for name, value in made.regs.items()}))
        words = [command, "-s", f"{tmp_path / 'ram'}@{RAM:#x}", "--registers", str(tmp_path / "registers")]
        assert main([*words, "--arch", "riscv64", "--json"]) in (0, 1), capsys.readouterr().err
        found = json.loads(capsys.readouterr().out)["result"]
        main([*words, "--arch", "riscv64"])
        return found, " ".join(capsys.readouterr().out.split())

    return asked


@pytest.mark.parametrize(
    ("flags", "code", "bit"),
    [
        (V | R | AD, STORE, "W"),
        (V | X | AD, LOAD, "R"),
        (V | R | W | U | AD, LOAD, "SUM"),
        (V | R | W | A, STORE, "D"),
        (V | R | W, LOAD, "A"),
    ],
)
def test_what_a_check_of_presence_would_loop_on_is_named_with_its_bit(
    ask: Ask, flags: int, code: int, bit: str
) -> None:
    found, said = ask(faulted(flags, code))
    assert (found["verdict"], found["loops_where_presence_counts"]) == ("tables agree", True)
    assert f"the entry is valid, and {bit}=0" in said
    assert found["suspicions"] == []


def test_an_entry_that_is_not_there_is_no_such_loop(ask: Ask) -> None:
    found, said = ask(faulted(0))
    assert found["verdict"] == "tables agree"
    assert "loops_where_presence_counts" not in found
    assert "the entry is not valid" in said


def test_the_headline_names_what_a_tlb_kept(ask: Ask) -> None:
    found, said = ask(faulted(V | R | W | AD))
    assert said.startswith(
        "S read of 0x10: page fault, but the tables permit it now: perhaps the invalid entry that a TLB kept, "
        "or an older one."
    )
    assert "a TLB cached the entry while it was invalid, and no sfence.vma of it followed on this CPU" in said
    assert "`mmu tlbi 0x10`" in said
    assert found["suspicions"][0]["cause"] == "cached invalid"


def test_a_flag_that_hardware_would_set_is_left_to_it(ask: Ask) -> None:
    found, _ = ask(faulted(V | R | W, menvcfg=ADUE))
    assert found["verdict"] == "left to hardware"
    found, _ = ask(faulted(V | R, STORE, menvcfg=ADUE))
    assert (found["verdict"], found["predicted"]["kind"]) == ("tables agree", "permission")


def test_an_access_fault_names_the_entry_of_pmp_or_is_memorys_own(ask: Ask) -> None:
    everything = {"pmpaddr1": (1 << 54) - 1, "pmpcfg0": 0x1F << 8 | 0x18, "pmpaddr0": RAM + 0x40_0000 >> 2 | 0x1FF}
    found, said = ask(faulted(V | R | W | AD, ACCESS, **everything))
    assert (found["verdict"], found["predicted"]["deciding"]["holder"]) == ("tables agree", "pmpcfg0")
    assert "memory's protection agrees" in said
    found, said = ask(faulted(V | R | W | AD, ACCESS))
    assert (found["verdict"], found["suspicions"]) == ("access aborted", [])


def test_a_page_fault_is_not_of_protection(ask: Ask) -> None:
    everything = {"pmpaddr1": (1 << 54) - 1, "pmpcfg0": 0x1F << 8 | 0x18, "pmpaddr0": RAM + 0x40_0000 >> 2 | 0x1FF}
    found, _ = ask(faulted(V | R | W | AD, LOAD, **everything))
    assert found["verdict"] == "tables differ"


def test_a_guest_page_fault_names_the_g_stages_entry(ask: Ask) -> None:
    taken = {"scause": GUEST_LOAD, "stval": 0x10, "sepc": 0, "sstatus": SPP, "stvec": 0x9000, "pc": 0x9000, "virt": 0}
    known = {**taken, "hstatus": 1 << 7 | 1 << 6, "htval": 0x3010 >> 2, "htinst": 0}
    found, said = ask(guest(V | R | W | AD, 0, V | R | W | U | AD, **known))
    assert (found["verdict"], found["predicted"]["stage"]) == ("tables agree", 2)
    assert (found["ipa"], found["access"]["privilege"]) == ("0x0000000000003010", "vs")
    assert "as the guest's tables say" in said


def taken_from_guest(cause: int, **registers: int) -> dict[str, int]:
    """Return what a fault of a guest's leaves at the first instruction of its hypervisor's handler."""
    taken = {
        "scause": cause,
        "htinst": 0,
        "stval": 0x10,
        "sepc": 0,
        "sstatus": SPP,
        "stvec": 0x9000,
        "pc": 0x9000,
        "virt": 0,
    }
    return {**taken, "hstatus": 1 << 8 | 1 << 7 | 1 << 6, **registers}


@pytest.mark.parametrize(
    ("flags", "registers", "headline"),
    [
        ({"guest_flags": 0}, {"htval": 0x3010 >> 2}, "guest-page fault, and the tables agree"),
        ({"guest_flags": 0, "tables": 0}, {"htval": 0, "htinst": 0x3000},
         "guest-page fault of a VS-stage table walk, and the tables agree"),
        ({}, {"htval": 0x3010 >> 2}, "guest-page fault, but the tables permit it now"),
        ({"guest_flags": 0}, {"scause": LOAD}, "page fault, but the tables say guest-page fault, level 0: "),
        ({"guest_flags": 0}, {"htval": 0x3010 >> 2, "stval": 8, "scause": 4}, "alignment fault"),
    ],
)  # fmt: skip
def test_the_headline_has_the_manuals_word_for_a_fault_of_the_g_stage(
    ask: Ask, flags: dict[str, int], registers: dict[str, int], headline: str
) -> None:
    made = guest(V | R | W | AD, **{"guest_flags": V | R | W | U | AD, "tables": V | R | W | U | AD, **flags})
    made.regs |= taken_from_guest(GUEST_LOAD) | registers
    found, said = ask(made)
    assert headline in said
    assert headline in found["sentence"]
    assert "stage 2" not in found["sentence"]


@pytest.mark.parametrize(
    ("registers", "fence", "cure"),
    [
        # Of the address where htval has none, the guest's own tables tell.
        ({"scause": GUEST_LOAD, "htval": 0x3010 >> 2, "htinst": 0}, "hfence.gvma", "mmu tlbi 0x3000 --regime g"),
        ({"scause": GUEST_LOAD, "htval": 0, "htinst": 0}, "hfence.gvma", "mmu tlbi 0x3000 --regime g"),
        ({"scause": LOAD}, "hfence.vvma", "mmu tlbi 0x10 --regime vs"),
        ({"scause": LOAD, "virt": 1}, "sfence.vma", "mmu tlbi 0x10"),
    ],
)
def test_each_stage_has_its_own_fence_and_whoever_is_outside_has_another(
    ask: Ask, registers: dict[str, int], fence: str, cure: str
) -> None:
    known = taken_from_guest(LOAD, vscause=LOAD, vstval=0x10, vsepc=0, vstvec=0x9000) | registers
    found, said = ask(guest(V | R | W | AD, **{**known, "vsstatus": SPP}))
    assert found["verdict"] == "tables permit"
    assert f"no {fence} of it followed on this CPU" in said
    assert f"until `{cure}`" in said
    others = {"sfence.vma", "hfence.vvma", "hfence.gvma"} - {fence}
    assert not [each for each in others if each in said]
    plain = cure.replace("0x3000 ", "").replace("0x10 ", "").replace(" 0x10", "")
    assert f"a TLB kept an older table on the way. Go on, and it faults again, until `{plain}`" in said


@pytest.mark.parametrize(
    ("fence", "invalidated", "first"),
    [
        ("c.nop", False, Weight.SHOWN),
        ("hfence.gvma a0, zero", True, Weight.UNLIKELY),
        ("hfence.gvma zero, zero", True, Weight.UNLIKELY),
        ("hfence.vvma a0, zero", False, Weight.SHOWN),
        ("sfence.vma", False, Weight.SHOWN),
    ],
)
def test_a_hypervisor_that_reads_as_its_guest_is_told_what_it_wrote_of_the_g_stage(
    fence: str, invalidated: bool, first: Weight
) -> None:
    """The code is the hypervisor's, although the access was its guest's: HLV, with GVA and without SPV."""
    known = taken_from_guest(GUEST_LOAD, htval=0x3010 >> 2, htinst=0, hstatus=1 << 8 | 1 << 6, sepc=CODE + AT)
    made = guest(V | R | W | AD, **known)
    made.regs["satp"] = 8 << 60 | RAM + 0x30_0000 >> 12
    tables = RAM + 0x5000
    for level in (2, 1):
        made.put(RAM + 0x30_0000 + (2 - level) * 0x1000, 0, pte(RAM + 0x30_0000 + (3 - level) * 0x1000, V))
    made.put(RAM + 0x30_2000, 1, pte(RAM + 0x50_0000, V | R | X | AD))
    made.put(RAM + 0x30_2000, 2, pte(tables, V | R | W | AD))
    run_before(made, STORES, fence)
    register = reader({**made.regs, "a5": TABLES + 3 * 8 + 8, "a0": 0x3000 >> 2, "a1": 0})
    found = diagnose(made.architecture, register, made.read)
    assert (found.verdict, found.exception.regime) == (Verdict.TABLES_PERMIT, "vs")
    by = writer(made.architecture, register, made.read, found)
    assert by is not None
    assert (by.step.pa, by.invalidated) == (tables + 3 * 8, invalidated)
    assert weights(found, Around(writer=by))[INVALID] is first


def test_a_refused_table_of_the_guests_is_told_by_htinst(ask: Ask) -> None:
    taken = {"scause": GUEST_LOAD, "stval": 0x10, "sepc": 0, "sstatus": SPP, "stvec": 0x9000, "pc": 0x9000, "virt": 0}
    known = {**taken, "hstatus": 1 << 7 | 1 << 6, "htval": 0, "htinst": 0x3000}
    found, said = ask(guest(V | R | W | AD, V | R | W | U | AD, V | R | U, **known))
    assert (found["verdict"], found["syndrome"]["fault"]["s1ptw"]) == ("tables agree", True)
    assert "the reading of a 64-bit entry of the VS-stage" in said


def test_delegation_is_told_and_that_software_handed_it_on(ask: Ask) -> None:
    found, said = ask(faulted(0))
    assert found["delegation"]["taken_by"] == "S"
    assert "medeleg.E13=1: S takes it" in said
    found, said = ask(faulted(0, medeleg=0))
    assert found["delegation"]["taken_by"] == "M"
    assert "M takes it, so that software handed it on to S" in said


def test_the_syndrome_of_the_hart_is_decoded(ask: Ask) -> None:
    found, _ = ask(faulted(0), "syndrome")
    assert (found["class"], found["current"], found["delegation"]["taken_by"]) == ("load page fault", True, "S")
    assert found["fault"]["status"] == "0x0d"


def test_an_architecture_whose_tlbs_keep_no_invalid_entry_is_never_suspected_of_it() -> None:
    found = diagnosed(faulted(V | R | W | AD))
    told = replace(found.exception.syndrome, fault=replace(found.exception.syndrome.fault, kind=FaultKind.TRANSLATION))  # type: ignore[type-var]
    other = replace(found, exception=replace(found.exception, syndrome=told))
    exceptions = copy(RISCV.exceptions)
    exceptions.cached_refusals = (FaultKind.PERMISSION,)
    assert INVALID not in [each.cause for each in suspicions(other, Around(), exceptions)]
    exceptions.cached_refusals = (FaultKind.PERMISSION, FaultKind.TRANSLATION)
    assert INVALID in [each.cause for each in suspicions(other, Around(), exceptions)]
