"""`explain`: what a log says of a crash is what a dump of the same moment says; what it does not say is asked for."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdbtools.arch import ARCHITECTURES
from gdbtools.cli import main
from gdbtools.commands.explain.run import Explained, NoCrash, Options, run
from gdbtools.commands.explain.view import record, view
from gdbtools.commands.session import Session
from gdbtools.machine.dumps.crash_text import CrashText
from gdbtools.machine.layers import no_source
from gdbtools.render.text import render
from tests.places import ROOT

LOGS = sorted((ROOT / "fixtures/logs").glob("*.log"))
WITHOUT_TABLES = {
    "linux-6.1-process": "the fault address, ",
    "linux-6.12-riscv-null-write": "the line `Current ... pgtable: ...`, which kernels newer than 6.12 print",
    "linux-6.12-riscv-process": "the line `Current ... pgtable: ...`, which a kernel prints of its own faults only",
    "linux-7.2-riscv-process": "the line `Current ... pgtable: ...`, which a kernel prints of its own faults only",
}
"""Logs of systems that print no tables, or none of such a crash: what is asked for first."""
REGISTERS_ALONE = ("osv-", "freebsd-", "solo5-", "m1n1-", "xnu-", "illumos-", "hafnium-", "sel4-", "qemu-")
"""How the names of logs begin of systems that never print tables: test_explain_registers.py has those."""
FIRMWARE = ("u-boot-", "tf-a-", "op-tee-", "edk2-")
"""The same of firmware: test_explain_firmware.py has those."""
ELSEWHERE = (*REGISTERS_ALONE, *FIRMWARE)
WITH_TABLES = [each for each in LOGS if each.stem not in WITHOUT_TABLES and not each.stem.startswith(ELSEWHERE)]
NULL_WRITE = (ROOT / "fixtures/logs/linux-6.1-null-write.log").read_text()
ARM64 = next(iter(ARCHITECTURES))
OLD = """\
Unable to handle kernel paging request at virtual address ffffffc012345678
pgd = ffffffc035a4c000
[ffffffc012345678] *pgd=00000000bff03003, *pud=00000000bff03003, *pmd=0000000000000000
Internal error: Oops: 96000006 [#1] PREEMPT SMP
CPU: 1 PID: 77 Comm: insmod Tainted: G           O    4.4.0 #1
pc : [<ffffffc0005a1234>] lr : [<ffffffc0005a1200>] pstate: 60000145
sp : ffffffc035b03d20
"""
"""As kernels before 4.16 print it: neither granule nor size, nor where the root is; a level that is folded."""


def explained(text: str | bytes) -> list[Any]:
    """Return the answers to a text that comes through a pipe."""
    session = Session(no_source(ARCHITECTURES[ARM64]))
    session.standard_input = lambda: io.BytesIO(text if isinstance(text, bytes) else text.encode())
    return list(run(session, Options()))


def one(text: str | bytes) -> Explained:
    (answer,) = explained(text)
    assert isinstance(answer, Explained)
    return answer


def asked(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    status = main([*words, "--json"])
    return status, json.loads(capsys.readouterr().out)["result"]


@pytest.mark.parametrize("log", WITH_TABLES, ids=lambda log: log.stem)
def test_a_log_says_what_a_dump_of_the_same_moment_says(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, answer = asked(["explain", str(log)], capsys)
    dump_status, dumped = asked(["fault", "-s", str(log.with_suffix(".core"))], capsys)
    assert status == dump_status == 1
    found = answer["fault"]
    assert dumped["verdict"] == "tables agree"
    # sstatus is a part of mstatus, and a log has no more than that.
    dumped = json.loads(json.dumps(dumped).replace('"mstatus"', '"sstatus"'))
    for each in ("verdict", "sentence", "syndrome", "address", "access", "predicted"):
        assert found[each] == dumped[each], each
    assert found["saved_state"] in (None, dumped["saved_state"])
    if (found["walk"].get("attributes") or {}).get("memory", "").startswith("MAIR "):
        # No line says what an index stands for.
        dumped["walk"]["attributes"]["memory"] = found["walk"]["attributes"]["memory"]
    for each in ("input", "regime", "steps", "outcome", "attributes"):
        assert found["walk"].get(each) == dumped["walk"].get(each), each
    assert answer["crash"]["contradictions"] == answer["crash"]["wanted"] == []


@pytest.mark.parametrize("log", WITH_TABLES, ids=lambda log: log.stem)
def test_a_log_is_a_source_for_the_other_commands(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, through_explain = asked(["explain", str(log)], capsys)
    _, through_source = asked(["fault", "-s", str(log)], capsys)
    assert through_source == through_explain["fault"]
    address = through_source["address"]
    assert main(["walk", "-s", str(log), address]) in (0, 1)
    assert f"{int(address, 16):#x}" in capsys.readouterr().out
    main(["regs", "-s", str(log)])
    assert address in capsys.readouterr().out
    main(["report", "-s", str(log)])
    assert through_source["sentence"].split(":")[0] in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", WITHOUT_TABLES)
def test_without_tables_there_is_the_syndrome_and_what_to_ask_for(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = ROOT / "fixtures/logs" / f"{name}.log"
    status, answer = asked(["explain", str(log)], capsys)
    _, dumped = asked(["fault", "-s", str(log.with_suffix(".core"))], capsys)
    assert status == 1
    assert answer["fault"] is None
    assert answer["syndrome"]["value"] == dumped["syndrome"]["value"]
    assert answer["syndrome"]["fault"] == dumped["syndrome"]["fault"]
    assert answer["crash"]["wanted"][0].startswith(WITHOUT_TABLES[name])
    assert answer["crash"]["contradictions"] == []


def test_a_source_is_not_taken_for_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-s", str(LOGS[0])]) == 2
    assert "name the text itself: explain LOG" in capsys.readouterr().err


def test_a_text_without_a_crash_is_no_finding(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    boot = tmp_path / "boot.txt"
    boot.write_text("[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x411fd070]\n" * 3)
    assert main(["explain", str(boot)]) == 0
    assert capsys.readouterr().out == "no crash found in 3 lines\n"
    assert main(["fault", "-s", str(boot)]) == 2
    assert "there is no crash in its 3 lines" in capsys.readouterr().err


@pytest.mark.parametrize(
    "prefix",
    [
        "<1>[   12.628758] ",
        "[   12.628758][    T1] ",
        "[   12.628758] [  C0] ",
        "kern  :alert : [   12.628758] ",
        "Nov 27 22:15:36 board kernel: [   12.628758] ",
        "Nov 27 22:15:36 board kernel: ",
        "2026-11-27T22:15:36.123456+00:00 board kernel: ",
        "2026-11-27T22:15:36.1234567Z ",
        "> > ",
        "\x1b[32m[   12.628758] \x1b[0m\x1b[33m",
    ],
)
def test_what_stands_before_a_line_makes_no_difference(prefix: str) -> None:
    bare = re.sub(r"(?m)^\[ *\d+\.\d+\] ", "", NULL_WRITE)
    decorated = "".join(f"{prefix}{line}\r\n" for line in bare.splitlines())
    assert record(one(decorated)) == record(one(NULL_WRITE))


def test_entries_may_be_on_lines_of_their_own() -> None:
    wrapped = re.sub(r", (p4d|pud|pmd)=", r",\n\1=", NULL_WRITE)
    assert wrapped.count("\n") > NULL_WRITE.count("\n")
    assert one(wrapped).crash.descriptors == one(NULL_WRITE).crash.descriptors


def test_each_crash_of_a_text_is_answered_with_its_line() -> None:
    # An emulator's log has a loop at its end, and no other.
    logs = [log for log in LOGS if not log.stem.startswith("qemu-")]
    text = "".join(log.read_text() for log in logs)
    crashes = [each.crash for each in explained(text)]
    titles = [text.splitlines()[crash.line - 1] for crash in crashes]
    assert len(crashes) == len(logs)
    assert all(crash.title in title for crash, title in zip(crashes, titles, strict=True))


def test_a_crash_that_is_cut_off_is_answered_as_far_as_it_goes() -> None:
    cut = NULL_WRITE[: NULL_WRITE.index("[0000000000000010] pgd=")]
    answer = one(cut)
    assert answer.fault is None
    assert answer.syndrome is not None
    assert [*answer.crash.wanted] == ["the line `[...] pgd=...`, which comes right behind the pgtable line"]


def test_where_two_lines_have_two_syndromes_it_is_said() -> None:
    changed = NULL_WRITE.replace("Oops: 0000000096000046", "Oops: 0000000096000005")
    assert one(changed).crash.doubts == ("the line ESR has 0x96000046, and Internal error has 0x96000005",)


def test_entries_of_another_address_are_not_taken_for_the_faults() -> None:
    changed = NULL_WRITE.replace("[0000000000000010] pgd", "[0000007fffff0010] pgd")
    answer = one(changed)
    assert answer.crash.doubts == ("the entries are of 0x7fffff0010, and the fault is of 0x10",)
    assert answer.fault is None


def test_an_entry_behind_the_end_of_the_walk_is_said() -> None:
    changed = NULL_WRITE.replace("pmd=0000000000000000", "pmd=0000000000000000, pte=0000000048000003")
    assert one(changed).crash.doubts == ("1 entry is printed behind the one that ends the walk",)
    more = re.sub(r"p([gu4])d=\w+", r"p\1d=0000000000000000", NULL_WRITE)
    assert one(more).crash.doubts == ("2 entries are printed behind the one that ends the walk",)


def test_a_level_that_the_entries_contradict_is_the_verdict() -> None:
    changed = NULL_WRITE.replace("96000046", "96000047")
    answer = one(changed)
    assert answer.fault is not None
    assert answer.fault.diagnosis.verdict.label == "tables differ"


X86 = (ROOT / "fixtures/logs/linux-6.1-x86-null-write.log").read_text()


def test_registers_behind_the_first_are_not_the_crashs() -> None:
    """x86-64 shows those of the system call, too, behind the trace."""
    stated = one(X86).crash.stated
    assert stated["rdi"] == stated["r10"] == stated["cr2"] == 0x10
    assert stated["rsp"] >> 56 == 0xFF


def test_an_entry_that_no_five_levels_explain_is_said() -> None:
    four = X86.replace("CR4: 0000000000751eb0", "CR4: 0000000000750eb0")
    assert one(four).crash.doubts == ("PGD and P4D are one entry without LA57, and have two values",)
    elsewhere = X86.replace("CR2: 0000000000000010", "CR2: 0000000000000018")
    assert one(elsewhere).crash.doubts == ("the fault is of 0x10, and CR2 has 0x18",)


def test_flags_of_a_log_are_the_interrupted_codes() -> None:
    """With AC set, SMAP refuses nothing."""
    text = """\
BUG: unable to handle page fault for address: 00007f1234567000
#PF: error_code(0x0001) - permissions violation
PGD 80000001016d3067 P4D 80000001016d3067 PUD 1016d4067 PMD 1016d5067 PTE 8000000109c5c867
RIP: 0010:foo+0x1/0x2
RSP: 0018:ffffc90000003e40 EFLAGS: {flags}
CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
CR2: 00007f1234567000 CR3: 00000001016d2000 CR4: 00000000003706f0
"""
    verdicts = {}
    for flags in ("00010246", "00050246"):
        answer = one(text.format(flags=flags))
        assert answer.fault is not None
        assert f"supervisor, cs 0x10, eflags {int(flags, 16):#x}" in render(view(answer))
        verdicts[flags] = answer.fault.diagnosis.verdict.label
    assert verdicts == {"00010246": "tables agree", "00050246": "tables permit"}


BAD = X86.replace("PGD 29a1067 P4D 2996067 PUD 299c067 PMD 0", "PGD 29a1067 P4D 2996067 PUD 4000100000067 BAD")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (BAD, "a dump: the kernel could not read the table that PUD 0x4000100000067 leads to, and printed BAD"),
        (
            re.sub(r"PGD .*", "PGD BAD", X86),
            "a dump: the kernel could not read the table that CR3 leads to, and printed BAD",
        ),
        (re.sub(r"CS: .*", "CS:  00", X86), "the line `CS: ... CR0: ...`"),
    ],
    ids=["entry", "root", "torn"],
)
def test_without_a_verdict_the_error_code_is_decoded_and_the_rest_asked_for(text: str, wanted: str) -> None:
    answer = one(text)
    assert answer.crash.wanted == (wanted,)
    assert "page fault (#PF): supervisor write, not present" in render(view(answer))


def test_an_entry_before_BAD_is_an_entry() -> None:
    assert [*one(BAD).crash.descriptors.values()] == [0x29A1067, 0x2996067, 0x4000100000067]


def test_without_a_line_to_ask_for_it_is_said_what_was_not_read() -> None:
    shown = " ".join(render(view(one(BAD.replace("BAD", "")))).split())
    assert "no verdict cannot read 8 bytes at physical address 0x4000100000000" in shown


@pytest.mark.parametrize(
    "title", ["NULL pointer dereference at 0000000000000010", "paging request at 0000000000000010"]
)
def test_before_5_1_the_same_crash_begins_otherwise(title: str) -> None:
    text = re.sub(r"BUG: .*", f"BUG: unable to handle kernel {title}", re.sub(r".*#PF: .*\n", "", X86))
    old, new = one(text), one(X86)
    assert old.fault is not None
    assert new.fault is not None
    assert (old.fault.diagnosis.verdict, old.crash.stated) == (new.fault.diagnosis.verdict, new.crash.stated)


def test_a_process_and_a_kernel_have_a_crash_each() -> None:
    process = "init[1]: unhandled level 2 translation fault (11) at 0x00000010, esr 0x92000006\n"
    kernel = "Internal error: synchronous external abort: 96000210 [#1] PREEMPT SMP\n"
    for lines in ((process, kernel), (kernel, process), (process, process), (kernel, kernel)):
        crashes = [each.crash for each in explained("".join(lines))]
        assert [crash.stated["ESR_EL1"] for crash in crashes] == [
            0x92000006 if line is process else 0x96000210 for line in lines
        ]
        assert not any(crash.doubts for crash in crashes)


def test_tables_that_the_kernel_did_not_look_for_are_not_asked_for() -> None:
    text = (
        "Unable to handle kernel paging request at virtual address dead000000000108\n  ESR = 0x96000004\n"
        "[dead000000000108] address between user and kernel address ranges\n"
    )
    crash = one(text).crash
    assert crash.stated["FAR_EL1"] == 0xDEAD000000000108
    assert not crash.wanted


XEN = (ROOT / "fixtures/logs/xen-4.17-null-write.log").read_text()


def test_xens_walk_and_registers_are_held_against_each_other() -> None:
    assert one(XEN.replace("Syndrome=0x1c18046", "Syndrome=0x1c18047")).crash.doubts == (
        "the trap is a Data Abort with 0x1c18047, and ESR_EL2 has 0x97c18046",
    )
    assert one(XEN.replace("Walking Hypervisor VA 0x10 ", "Walking Hypervisor VA 0x18 ")).crash.doubts == (
        "the address that Xen walked is 0x18, and FAR_EL2 has 0x10",
    )
    elsewhere = one(XEN.replace("1ST[0x000]", "1ST[0x001]")).crash
    assert elsewhere.doubts == ("the levels or indices of the walk are not those of its address",)
    assert not elsewhere.descriptors


def test_of_xens_first_lines_alone_registers_follow() -> None:
    """The class is in the trap's name, the root and the address in the walk's first line."""
    few = one("".join(line for line in XEN.splitlines(keepends=True) if "_EL" not in line))
    whole = one(XEN)
    assert few.fault is not None
    assert whole.fault is not None
    assert few.fault.diagnosis.verdict is whole.fault.diagnosis.verdict
    assert few.crash.deduced.values["ESR_EL2"] == whole.crash.stated["ESR_EL2"]
    assert few.crash.deduced.values["FAR_EL2"] == whole.crash.stated["FAR_EL2"]


XEN_X86 = (ROOT / "fixtures/logs/xen-4.17-x86-null-write.log").read_text()
PV_GUEST = (ROOT / "fixtures/logs/xen-4.17-x86-guest-write.log").read_text()


def test_xens_walk_on_x86_is_held_against_its_panic_and_its_registers() -> None:
    torn = re.sub(r"linear address: \w+", "linear address: 0000000000000018", XEN_X86)
    assert one(torn).crash.doubts == ("the faulting linear address is 0x18, and cr2 has 0x10",)
    elsewhere = one(XEN_X86.replace("L3[0x000]", "L3[0x001]")).crash
    assert elsewhere.doubts == ("the levels or indices of the walk are not those of its address",)
    assert not elsewhere.descriptors


def test_both_numbers_of_a_paravirtual_guests_frames_are_said() -> None:
    own = re.findall(r"L([43])\[0x000\] = \w+ 0*(\w+)", XEN_X86)
    assert one(XEN_X86).crash.told == (
        ("guest's frame", ", ".join(f"L{level} leads to 0x{number}" for level, number in own)),
    )


def test_a_paravirtual_kernel_is_a_user_to_hardware() -> None:
    """Xen prints the error code as its guest is to have it: without U/S."""
    crash = one(PV_GUEST).crash
    assert crash.system == "Xen on x86-64, pv guest (d0v0)"
    assert "#PF[0002]" in PV_GUEST
    assert crash.deduced.values["error_code"] == 6
    of_a_process = one(PV_GUEST.replace("#PF[0002]", "#PF[0006]")).crash
    assert of_a_process.stated["error_code"] == 6


def test_registers_that_xen_prints_of_no_fault_are_no_crash() -> None:
    registers = XEN_X86[: XEN_X86.index("(XEN) Pagetable walk")]
    (answer,) = explained(f"(XEN) *** Dumping CPU0 host state: ***\n{registers}")
    assert isinstance(answer, NoCrash)
    other = one(f"{registers}(XEN) Panic on CPU 0:\n(XEN) FATAL TRAP: vector = 13 (general protection fault)\n").crash
    assert (other.system, other.unread) == ("Xen on x86-64", "only page faults are")


P2M = """\
(XEN) dom0 IPA 0x0000000088080000
(XEN) P2M @ 0000000803fc3d40 mfn:0x17f0f5
(XEN) 0TH[0x0] = 0x004000017f0f377f
(XEN) 1ST[0x2] = 0x02c00000800006fd
(XEN) Mem access check
"""


def test_xens_walk_of_a_second_stage_says_where_it_leads_and_is_a_source(tmp_path: Path) -> None:
    answer = one(P2M)
    assert answer.crash.system == "Xen on AArch64, the second stage of dom0"
    assert answer.crash.deduced.values["VTTBR_EL2"] == 0x17F0F5000
    assert answer.crash.descriptors == {0x17F0F5000: 0x004000017F0F377F, 0x17F0F3010: 0x02C00000800006FD}
    assert answer.crash.told == (("leads", "to PA 0x88080000, EL1 rw-, EL0 rw-"),)
    shown = render(view(answer))
    assert "ask for" in shown
    log = tmp_path / "p2m.log"
    log.write_text(P2M)
    assert main(["walk", "0x88080000", "--regime", "stage2", "-s", str(log)]) == 0


def test_xens_second_stage_may_begin_at_two_tables_side_by_side() -> None:
    """At level 1 with 40 bits; Xen prints the index within one of them."""
    beyond = P2M.replace("0000000088080000", "0000008088080000").replace("(XEN) 0TH[0x0] = 0x004000017f0f377f\n", "")
    beyond = beyond.replace("mfn:0x17f0f5", "mfn:0x17f0f4")
    assert one(beyond).crash.descriptors == {0x17F0F5010: 0x02C00000800006FD}
    invalid = one(beyond.replace("02c00000800006fd", "0000000000000000")).crash
    assert invalid.told[0][1].startswith("nowhere: ")
    assert one(beyond.replace("1ST[0x2]", "1ST[0x3]")).crash.doubts


def test_an_old_kernel_states_its_registers_and_hides_its_tables() -> None:
    crash = one(OLD).crash
    assert crash.stated["ELR_EL1"] == 0xFFFFFFC0005A1234
    assert crash.stated["ESR_EL1"] == 0x96000006
    assert crash.stated["FAR_EL1"] == 0xFFFFFFC012345678
    assert crash.stated["SPSR_EL1"] == 0x60000145
    assert not crash.descriptors
    assert any("pgtable" in each for each in crash.wanted)


def test_a_hidden_root_is_assumed_and_folded_levels_are_one() -> None:
    """39 bits: pgd, p4d and pud are all of level 1.  Older kernels print a hash, with blanks around it."""
    line = "swapper pgtable: 4k pages, 39-bit VAs, pgdp = 00000000a0b1c2d3\n"
    text = OLD.replace("pgd = ffffffc035a4c000\n", line)
    answer = one(text)
    assert answer.fault is not None
    assert answer.fault.diagnosis.verdict.label == "tables agree"
    assert any(each.text.startswith("TTBR1_EL1=0: the log hides") for each in answer.crash.deduced.assumed)
    assert [*answer.crash.descriptors.values()] == [0xBFF03003, 0]


FOUR_LEVELS = """\
Unable to handle kernel paging request at virtual address ffff800012345678
  ESR = 0x9600000{status}
swapper pgtable: 4k pages, 48-bit VAs, pgdp=0000000041a00000
[ffff800012345678] {entries}
pstate: 60400005 (nZCv daif +PAN -UAO)
"""
"""As kernels from 4.16 to 5.7 print it: four names for four levels."""
_PGD, _PUD, _PMD = "pgd=00000000bfffe003", "pud=00000000bfffd003", "pmd=00000000bfffc003"


@pytest.mark.parametrize(
    ("level", "entries"),
    [
        (0, ["pgd=0000000000000000"]),
        (1, [_PGD, "pud=0000000000000000"]),
        (2, [_PGD, _PUD, "pmd=0000000000000000"]),
        (3, [_PGD, _PUD, _PMD, "pte=0000000000000000"]),
    ],
)
def test_before_there_was_a_p4d_four_names_are_four_levels(level: int, entries: list[str]) -> None:
    answer = one(FOUR_LEVELS.format(status=4 + level, entries=", ".join(entries)))
    assert answer.fault is not None
    assert answer.fault.diagnosis.verdict.label == "tables agree"
    assert len(answer.crash.descriptors) == level + 1
    assert not answer.crash.doubts


@pytest.mark.parametrize(
    ("entries", "doubt"),
    [
        (f"{_PGD}, p4d=00000000bfff0003, pud=0000000000000000", "the names of one folded level have different values"),
        (f"{_PGD}, pmd=0000000000000000", "an entry is missing: pud"),
    ],
)
def test_names_that_no_tables_have_give_no_verdict_of_tables(entries: str, doubt: str) -> None:
    answer = one(FOUR_LEVELS.format(status=5, entries=entries))
    assert answer.crash.doubts == (doubt,)
    assert answer.fault is None
    assert not answer.crash.descriptors


def test_a_host_with_vhe_has_the_registers_of_its_own_level() -> None:
    crash = one(NULL_WRITE.replace("pstate: 80000005", "pstate: 80000009"))
    assert crash.fault is not None
    assert crash.fault.diagnosis.verdict.label == "tables agree"
    assert "ESR_EL2" in crash.crash.stated
    assert crash.crash.deduced.values["HCR_EL2"] == 1 << 34 | 1 << 27


@pytest.mark.parametrize(
    ("lines", "system"),
    [
        ("Internal error: Oops: 00000805 [#1] SMP ARM\nFlags: nZcv  IRQs on\n", "Linux on 32-bit Arm"),
        ("BUG: unable to handle kernel paging request at deadbeef\nEIP: foo+0x1/0x2\n", "Linux on 32-bit x86"),
        ("Oops [#1]\nepc : c00a1b2c ra : c00a1b00 sp : c0a4bd20\n", "Linux on 32-bit RISC-V"),
    ],
)
def test_another_architectures_crash_is_named_and_not_read(lines: str, system: str) -> None:
    first = "" if lines.startswith("BUG") else "Unable to handle kernel paging request at virtual address deadbeef\n"
    crash = one(first + lines).crash
    assert crash.system == system
    assert crash.unread
    assert not crash.stated


class Endless(io.RawIOBase):
    """A text that is made as it is read: so many megabytes of a boot's lines, and a crash behind them."""

    def __init__(self, megabytes: int) -> None:
        line = b"[    1.234567] usb 1-1: new high-speed USB device number 2 using xhci_hcd\n"
        self.block = line * ((1 << 20) // len(line))
        self.lines_before = self.block.count(b"\n") * megabytes
        self.left = megabytes
        self.end = NULL_WRITE.encode()
        self.most = 0

    def read(self, size: int = -1) -> bytes:
        self.most = max(self.most, size if size >= 0 else 1 << 40)
        if self.left:
            self.left -= 1
            return self.block
        said, self.end = self.end, b""
        return said


def test_a_text_is_streamed_whatever_its_size() -> None:
    endless = Endless(64)
    session = Session(no_source(ARCHITECTURES[ARM64]))
    session.standard_input = lambda: endless  # type: ignore[assignment,return-value]
    (answer,) = run(session, Options())
    assert isinstance(answer, Explained)
    assert answer.crash.line == endless.lines_before + 2
    assert endless.most <= 1 << 20


def test_a_line_without_an_end_is_cut() -> None:
    text = CrashText(io.BytesIO(b"x" * (5 << 20) + b"Internal error: Oops: 96000046 [#1]"))
    assert len([*text]) <= 1
    assert text.lines == 1


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_are_counted_as_an_editor_counts_them(end: bytes) -> None:
    """A line of megabytes is one, and so is one that carriage returns begin again."""
    progress = b"\r".join(b" %d%%" % each for each in range(100))
    text = end.join((b"one", b"x" * (5 << 20), b"Unable to handle", progress, *NULL_WRITE.encode().splitlines()))
    assert one(text).crash.line == 4 + one(NULL_WRITE).crash.line


NAMED = (
    "general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] PREEMPT SMP PTI",
    "Oops: general protection fault: 0000 [#1] SMP",
    "kernel BUG at mm/slub.c:440!",
    "Internal error: Oops - BUG: 0 [#1] PREEMPT SMP",
    "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
)


@pytest.mark.parametrize("title", NAMED)
def test_a_crash_that_is_not_read_is_named_and_a_finding(
    title: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_text(f"[    1.0] booting\n[    2.0] {title}\n")
    status, answer = asked(["explain", str(log)], capsys)
    assert status == 1
    assert (answer["crash"]["line"], answer["crash"]["title"]) == (2, title)
    assert answer["crash"]["unread"]


@pytest.mark.parametrize(
    "text",
    [
        f"{NULL_WRITE}\nKernel panic - not syncing: Oops: Fatal exception\n",
        f"kernel BUG at mm/slub.c:440!\n{NULL_WRITE}",
        "kernel BUG at mm/slub.c:440!\ninvalid opcode: 0000 [#1] SMP\nKernel panic - not syncing: Fatal exception\n",
    ],
    ids=["behind one that is read", "before one that is read", "alone"],
)
def test_what_is_only_named_is_no_crash_beside_its_own(text: str) -> None:
    crash = one(text).crash
    assert bool(crash.unread) is (NULL_WRITE not in text)


@pytest.mark.parametrize(
    ("begins", "said"),
    [
        (b"\x7fELF\x02", "is a dump, not a text: gdbtools fault -s "),
        (b"\x1f\x8b\x08", "is packed by gzip; unpack it first"),
        (bytes(4096), "is no text; if it is a raw image of memory, say where it starts: gdbtools fault -s "),
    ],
    ids=["core", "gzip", "raw"],
)
def test_a_file_that_is_no_text_is_refused(
    begins: bytes, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(begins)
    assert main(["explain", str(file)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert f"{file} {said}" in err


def _mutated(draw: st.DrawFn) -> bytes:
    lines = draw(st.sampled_from(LOGS)).read_bytes().splitlines()
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(("drop", "twice", "swap", "cut", "digit", "other")))
        if change == "drop" and len(lines) > 1:
            del lines[at]
        elif change == "twice":
            lines.insert(at, lines[at])
        elif change == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif change == "cut":
            lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
        elif change == "digit":
            digit = draw(st.sampled_from((b"f", b"0", b"9", b"x", b" ", b"\xff")))
            place = draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:place] + digit + lines[at][place + 1 :]
        else:
            lines[at] = draw(st.binary(max_size=60))
    return b"\n".join(lines)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=300), st.composite(_mutated)()))
def test_no_text_is_too_strange(text: bytes) -> None:
    answers = explained(text)
    assert answers
    for answer in answers:
        json.dumps(record(answer))
        shown = render(view(answer))
        assert shown.isprintable() or all(each.isprintable() for each in shown.split("\n"))
        assert not isinstance(answer, Explained) or answer.crash.title


def test_what_a_log_says_cannot_act_on_a_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(NULL_WRITE.replace("NULL pointer", "NULL\x1b]0;owned\x07\x07 \u202epointer"))
    assert main(["explain", str(log)]) == 1
    said = capsys.readouterr().out
    assert not set("\x1b\x07\u202e") & set(said)


@pytest.mark.parametrize("bits", [35, 49, 50, 51, 53])
def test_sizes_that_linux_does_not_have_are_said(bits: int) -> None:
    doubts = one(NULL_WRITE.replace("48-bit VAs", f"{bits}-bit VAs")).crash.doubts
    assert doubts == (f"4k pages with {bits}-bit addresses are none of Linux's",)
