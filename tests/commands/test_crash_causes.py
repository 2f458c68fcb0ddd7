"""`explain`: what a crash may come of, the strongest first: what the log has decides, and no bit flips for nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gdbtools.addresses import VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import AccessKind
from gdbtools.cli import main
from gdbtools.commands.explain.run import Explained
from gdbtools.commands.explain.view import record, view
from gdbtools.render.text import render
from gdbtools.systems.linux import aarch64_entries, poison
from tests.commands.test_explain import LOGS, NULL_WRITE, X86, explained, one
from tests.commands.test_explain_options import LINKED, OFFSET, RESERVED, answers
from tests.places import ROOT
from tests.small_elf import AARCH64, small_elf

READ_ONLY = (ROOT / "fixtures/logs/linux-6.1-read-only.log").read_text()
UNMAPPED = (ROOT / "fixtures/logs/linux-6.1-unmapped.log").read_text()
STORE = "STR X7, [X8], #8"


def first(answer: Explained) -> str:
    return answer.causes[0].what if answer.causes else ""


def faulting(address: int, text: str = UNMAPPED) -> str:
    """Return a crash of an address that its instruction's base register holds, too."""
    return text.replace("ffff800040001000", f"{address:016x}")


@pytest.mark.parametrize("log", [each for each in LOGS if each.stem.startswith("linux")], ids=lambda log: log.stem)
def test_the_printed_instruction_is_the_one_that_faulted(log: Path) -> None:
    answer = one(log.read_text())
    if "execute" in log.stem or "Code: " not in log.read_text():
        assert answer.instruction is None
        return
    assert answer.instruction is not None
    assert answer.instruction.doubt == ""
    assert answer.instruction.access.address == answer.crash.address


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        (("(f8008507)", "(f8408507)"), "LDR X7, [X8], #8 does not write memory, and the syndrome says write"),
        (("x8 : 0000000000000010", "x8 : 0000000000000090"), f"{STORE} leads to 0x90 by its registers"),
    ],
)
def test_an_instruction_that_cannot_have_faulted_so_is_said(change: tuple[str, str], doubt: str) -> None:
    answer = one(NULL_WRITE.replace(*change))
    assert record(answer)["crash"]["contradictions"][0].startswith(doubt)  # type: ignore[index]


def test_an_instruction_of_x86_is_held_against_the_error_code() -> None:
    assert "writes 0x10" in render(view(one(X86)))
    read = one(X86.replace("error_code(0x0002)", "error_code(0x0000)"))
    assert "does not read memory" in record(read)["crash"]["contradictions"][0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (0x10, "a null pointer, of which a field at 0x10 was accessed"),
        (0xDEAD000000000100, "LIST_POISON1"),
        (0xDEAD000000000122, "LIST_POISON2"),
        (0x6B6B6B6B6B6B6B7B, "POISON_FREE + 0x10"),
        (0x5A5A5A5A5A5A5A5A, "POISON_INUSE"),
        (0xFFFFFFFFFFFFFFF4, "-ENOMEM"),
        (0xDFFF800000000002, "KASAN's shadow of 0x10"),
        (0xF5FF800012345000, "tag 0x5"),
        (0x6F77206F6C6C6568, "overwritten by text: 'hello wo'"),
    ],
)
def test_what_is_no_pointer_is_named(address: int, said: str) -> None:
    assert said in first(one(faulting(address)))


def test_a_good_pointer_has_no_name() -> None:
    assert first(one(UNMAPPED)) == ""
    assert first(one(READ_ONLY)) == ""


def test_shadows_and_lists_are_each_architectures_own() -> None:
    assert "shadow of 0x8" in poison.named(VA(0xDFFFFC0000000001), (0xDFFFFC0000000000,))
    assert poison.named(VA(0xDFFFFC0000000001), (0xDFFF800000000000,)) == ""


GPF = """\
general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] PREEMPT SMP PTI
CPU: 1 PID: 77 Comm: rmmod Not tainted 6.1.0 #1
RIP: 0010:__list_del_entry+0x12/0x40
Code: 0f 1f 44 00 00 48 8b 07 48 8b 57 08 <48> 89 50 08 48 89 02 c3
RSP: 0018:ffffc90000003e40 EFLAGS: 00010246
RAX: dead000000000100 RBX: ffff888101234000 RCX: 0000000000000000
RDX: dead000000000122 RSI: ffff888101235000 RDI: ffff888101236000
CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
CR2: 00007f1234567000 CR3: 0000000101000000 CR4: 00000000003706f0
"""


def test_a_general_protection_fault_is_of_what_its_operand_leads_to() -> None:
    answer = one(GPF)
    assert answer.fault is None
    assert answer.crash.exception.startswith("general protection fault (#GP)")
    assert answer.instruction is not None
    assert answer.instruction.access.address == 0xDEAD000000000108
    assert "LIST_POISON1" in first(answer)
    assert answer.causes[0].evidence == ("rax is 0xdead000000000100",)
    unnamed = one(GPF.replace(", probably for non-canonical address 0xdead000000000108", ""))
    assert first(unnamed) == first(answer)


def test_a_double_fault_below_the_stack_pointer_is_of_a_stack_that_has_run_out() -> None:
    text = re.sub("general.*?:", "double fault:", GPF, count=1)
    text = text.replace("CR2: 00007f1234567000", "CR2: ffffc90000003e38")
    answer = one(f"BUG: TASK stack guard page was hit at 00000000f5 (stack is 000000a5..000000b5)\n{text}")
    assert answer.crash.exception.startswith("double fault (#DF)")
    assert "the stack has run out, or its pointer is wrong" in [each.what for each in answer.causes]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("KASAN: null-ptr-deref in range [0x0000000000000010-0x0000000000000017]", "says KASAN"),
        ("Insufficient stack space to handle exception!", "the kernel's stack has run out"),
    ],
)
def test_what_the_kernel_says_itself_comes_first(line: str, said: str) -> None:
    assert said in first(one(NULL_WRITE.replace("Mem abort info:", line)))


def test_a_flipped_bit_of_a_pointer_needs_others_beside_it() -> None:
    """X29 and sp lie in the same 4 GB as the address without the bit."""
    near = 0xFFFF800008231000
    flipped = one(faulting(near ^ 1 << 45))
    (cause,) = flipped.causes
    assert cause.what == f"bit 45 of the address is flipped: {near:#x} was meant"
    assert "sp" in cause.evidence[0] or "x29" in cause.evidence[0]
    alone = re.sub(r"\bffff8000082\w+", "0000000000000000", faulting(near ^ 1 << 45))
    assert not one(alone).causes
    assert "cause        perhaps bit 45" in render(view(flipped))


def test_a_flipped_bit_of_an_entry_needs_a_table_like_it() -> None:
    text = RESERVED.replace("PGD 2a01067 P4D 2a01067", "PGD 100a01067 P4D 100a01067")
    answer = one(text)
    assert [each.what for each in answer.causes] == [
        "bit 50 of the level 3 descriptor is flipped: 0x0000000100000067 was meant"
    ]
    # Of another kind, with another user's bit, it is like nothing there.
    assert not one(text.replace("4000100000067", "4000100000ff1")).causes


def test_a_cleared_valid_bit_of_a_table_is_a_flipped_one() -> None:
    changed = NULL_WRITE.replace("pud=080000004812b003, pmd=0000000000000000", "pud=080000004812b002")
    answer = one(changed.replace("96000046", "96000045").replace("FSC = 0x06: level 2", "FSC = 0x05: level 1"))
    assert answer.fault is not None
    assert answer.causes[-1].what == "bit 0 of the level 1 descriptor is flipped: 0x080000004812b003 was meant"


def test_a_flip_is_never_before_what_is_shown() -> None:
    read = [each for log in LOGS for each in explained(log.read_text()) if isinstance(each, Explained)]
    strengths = [each.strength for answer in read for each in answer.causes]
    assert strengths
    changed = NULL_WRITE.replace("pud=080000004812b003, pmd=0000000000000000", "pud=080000004812b002")
    answer = one(changed.replace("96000046", "96000045"))
    assert [each.strength for each in answer.causes] == sorted((each.strength for each in answer.causes), reverse=True)


USER = """\
Unable to handle kernel access to user memory outside uaccess routines at virtual address 0000ffff12345678
  ESR = 0x000000009600000f
user pgtable: 4k pages, 48-bit VAs, pgdp=0000000048122000
[0000ffff12345678] pgd=080000004812a003, p4d=080000004812a003, pud=080000004812b003, pmd=080000004812c003, \
pte=00e8000049000f43
pstate: 80400005 (Nzcv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
pc : foo+0x4/0x10
"""


def test_an_access_to_a_process_from_the_kernel_is_named() -> None:
    helpers = "copy_from_user, get_user and their like"
    said = f"a process's memory was accessed from the kernel without the helpers for it ({helpers})"
    assert first(one(USER)) == said
    smap = """\
BUG: unable to handle page fault for address: 00007f1234567000
#PF: error_code(0x0001) - permissions violation
PGD 80000001016d3067 P4D 80000001016d3067 PUD 1016d4067 PMD 1016d5067 PTE 8000000109c5c867
RIP: 0010:foo+0x1/0x2
RSP: 0018:ffffc90000003e40 EFLAGS: 00010246
CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
CR2: 00007f1234567000 CR3: 00000001016d2000 CR4: 00000000003706f0
"""
    assert first(one(smap)).startswith("a process's memory was accessed from the kernel")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (0x0400000049000F40, "PROT_NONE, or NUMA balancing waits for it: bit 58 is set (until 6.9)"),
        (0x00E8000049000F40 | 1 << 11, "bit 11 is set (6.10 and later); the page is at PA 0x49000000"),
        (3 << 3 | 0x1234 << 8, "page 0x1234 of swap area 3 (5.19 to 6.9)"),
        (3 << 6 | 0x1234 << 12, "page 0x1234 of swap area 3 (6.10 and later)"),
    ],
)
def test_what_software_keeps_in_an_entry_is_decoded(entry: int, said: str) -> None:
    assert said in aarch64_entries.absent(VA(0xFFFF12345678), entry, 3)
    changed = USER.replace("00e8000049000f43", f"{entry:016x}").replace("9600000f", "96000007")
    assert said in " ".join(render(view(one(changed))).split())


def test_no_convention_speaks_of_a_kernels_entry_or_of_an_empty_one() -> None:
    assert aarch64_entries.absent(VA(0xFFFF800012345678), 3 << 3, 3) == ""
    assert aarch64_entries.absent(VA(0x12345678), 0, 3) == ""
    assert aarch64_entries.absent(VA(0x12345678), 3 << 3, 2) == ""


@pytest.mark.parametrize("bit", [None, 5, 29])
def test_one_bit_of_the_code_against_the_kernels_file(
    bit: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [0xAA0780E7, 0xF1003C5F, 0x54000148, 0x36180042, 0xF8008507 ^ (0 if bit is None else 1 << bit)]
    code = b"".join(word.to_bytes(4, "little") for word in words)
    memset = LINKED + 0x100
    linked = bytes(0x100 + 0x24 - 16) + code + bytes(0x40) + b"Linux version 6.1.0-50-cloud-arm64 (who)\0"
    vmlinux, text = tmp_path / "vmlinux", tmp_path / "console.txt"
    vmlinux.write_bytes(small_elf(AARCH64, LINKED, linked, {"__memset": memset}))
    text.write_text(NULL_WRITE + OFFSET)
    (found,) = answers(["explain", str(text), "--elf", str(vmlinux)], capsys)
    said = [each["what"] for each in found["causes"] if "code is flipped" in each["what"]]
    assert bool(said) is (bit is not None)
    if bit is not None:
        assert f"bit {bit % 8} of the byte {bit // 8:+d} from the instruction" in said[0]
        assert found["causes"][0]["what"] == said[0]


def test_each_architecture_tells_what_an_instruction_accesses() -> None:
    registers = {"x8": 0x1000, "rax": 0x1000, "a0": 0x1000}
    # str x7, [x8], #8; mov %rdx, 0x8(%rax); sd a1, 8(a0).
    stores = {"aarch64": ("078500f8", 0x1000), "x86_64": ("48895008", 0x1008), "riscv64": ("2334b500", 0x1008)}
    for name, (code, address) in stores.items():
        access = ARCHITECTURES[name].exceptions.access_by(bytes.fromhex(code), registers.__getitem__)
        assert access is not None, name
        assert access.kinds == {AccessKind.WRITE}, name
        assert (access.pointer, access.address) == (0x1000, address), name
    nop = bytes.fromhex("1f2003d5")
    assert ARCHITECTURES["aarch64"].exceptions.access_by(nop, registers.__getitem__) is None


def test_a_panic_of_kvm_has_the_registers_of_its_own_level() -> None:
    """The words are a panic's, too: it is one crash."""
    text = """\
kvm [417]: nVHE hyp panic at: [<ffff8000080a5b6c>] __kvm_nvhe_foo+0x4c/0x90!
Kernel panic - not syncing: HYP panic:
PS:604003c9 PC:0000c1b3e4a5b6c8 ESR:0000000096000006
FAR:0000000000000010 HPFAR:0000000000480000 PAR:0000000000000800
VCPU:ffff0000c1234000
"""
    answer = one(text)
    assert answer.crash.stated["ELR_EL2"] == 0xC1B3E4A5B6C8
    shown = " ".join(render(view(answer)).split())
    assert "translation fault, level 2" in shown
    assert "ask for a dump: which tables were in force at EL2" in shown
    assert "a null pointer" in first(answer)


def test_a_guests_exception_that_kvm_cannot_handle_is_its_syndrome() -> None:
    answer = one("kvm [417]: Unsupported FSC: EC=0x24 xFSC=0x10 ESR_EL2=0x92000010\n")
    assert answer.crash.stated == {"ESR_EL2": 0x92000010}
    assert "external abort, read" in render(view(answer))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("SError Interrupt on CPU0, code 0x00000000bf000002 -- SError", "SError"),
        ("Internal error: Oops - BTI: 0000000034000001 [#1] PREEMPT SMP", "Branch Target Exception"),
        ("Internal error: Oops - FPAC: 0000000072000000 [#1] PREEMPT SMP", "pointer authentication"),
        ("Internal error: Oops: 0000000096000051 [#1] PREEMPT SMP", "tag check fault"),
    ],
)
def test_without_tables_the_syndrome_says_what_it_says(line: str, said: str) -> None:
    answer = one(f"{line}\npstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)\npc : foo+0x4/0x10\n")
    assert said.lower() in render(view(answer)).lower()


@pytest.mark.parametrize("stem", ["linux-6.1-null-write", "linux-6.1-process"])
def test_a_report_of_a_log_says_what_explain_says(stem: str, capsys: pytest.CaptureFixture[str]) -> None:
    log = str(ROOT / f"fixtures/logs/{stem}.log")
    (page,), (alone,) = answers(["report", "-s", log], capsys), answers(["explain", log], capsys)
    assert page["log"] == alone
    main(["explain", log])
    shown = capsys.readouterr().out
    main(["report", "-s", log])
    written = capsys.readouterr().out
    # What is assumed the report says once, for all of it.
    told = shown.partition("\nassumed")[0].splitlines()
    assert len(told) > 3
    assert all(line in written for line in told)
