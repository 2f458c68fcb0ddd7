"""`explain` of QEMU's logs (`-d int`): exceptions are counted by CPU, and the first that repeats to the end is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbtools.commands.explain.run import Counted, Explained
from gdbtools.commands.explain.view import record, view
from gdbtools.machine.sources import open_source
from gdbtools.render.text import render
from gdbtools.systems import exception_logs
from gdbtools.systems.qemu.exceptions import REPEATS, ExceptionLog
from tests.commands.test_explain import LOGS, asked, explained

LOOPS = [each for each in LOGS if each.stem.startswith("qemu-")]
ABORT = """\
Taking exception 4 [Data Abort] on CPU {cpu}
...from EL1 to EL1
...with ESR 0x25/0x96000046
...with FAR {far:#x}
...with ELR 0x4020118c
...to EL1 PC 0x40200200 PSTATE 0x3c5
Exception return from AArch64 EL1 to AArch64 EL1 PC 0x4020118c
"""
USUAL = """\
Taking exception {number} [{name}] on CPU 0
...from EL0 to EL1
...with ESR 0x15/0x56000000
...with ELR 0x400100
...to EL1 PC 0x40200400 PSTATE 0x3c5
"""
TIMER = USUAL.format(number=5, name="IRQ")
TRAP = """\
riscv_cpu_do_interrupt: hart:0, async:0, cause:{cause:016x}, epc:0x1000, tval:0x{tval:x}, desc=load_page_fault
"""


def abort(far: int = 0x10, cpu: int = 0) -> str:
    return ABORT.format(far=far, cpu=cpu)


def crash_and_counts(text: str) -> tuple[Explained | None, Counted]:
    *crashes, counted = explained(text)
    assert isinstance(counted, Counted)
    (crash,) = crashes or (None,)
    return crash, counted


@pytest.mark.parametrize("log", LOOPS, ids=lambda log: log.stem)
def test_a_loops_first_exception_is_the_captures(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, dumped = asked(["fault", "-s", str(log.with_suffix(".core"))], capsys)
    crash, counted = crash_and_counts(log.read_text())
    assert crash is not None
    assert crash.syndrome is not None
    found = json.loads(json.dumps(record(crash)))["syndrome"]
    for each in ("value", "fault", "access"):
        assert found[each] == dumped["syndrome"][each], each
    registers = open_source(str(log.with_suffix(".core"))).cpu.registers
    same = {name: value for name, value in crash.crash.stated.items() if name not in ("error_code", "rip", "cs")}
    if "x86" in log.stem:
        # The capture is of the handler's first instruction: these are what is on its stack.
        same = {name: value for name, value in same.items() if name not in ("rsp", "eflags")}
    assert {name: registers.read(name) for name in same} == same
    assert sum(counted.counted.values()) >= REPEATS
    assert crash.crash.repeats[0].endswith(" times, up to the end of the log")


def test_a_log_is_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    log = next(log for log in LOOPS if "x86" in log.stem)
    status, answer = asked(["syndrome", "-s", str(log)], capsys)
    assert status in (0, 1)
    assert answer["class"] == "page fault (#PF)"


def test_interrupts_and_calls_repeat_in_every_guest() -> None:
    for number, name in ((2, "SVC"), (5, "IRQ"), (11, "Hypervisor Call")):
        crash, counted = crash_and_counts(USUAL.format(number=number, name=name) * 100)
        assert crash is None
        assert counted.counted == {("0", name): 100}
    call = TRAP.format(cause=8, tval=0).replace("load_page_fault", "user_ecall")
    assert crash_and_counts(call * 100)[0] is None


def test_interrupts_between_do_not_end_a_loop() -> None:
    crash, counted = crash_and_counts((abort() + TIMER) * 40)
    assert crash is not None
    assert crash.crash.repeats == ("40 times, up to the end of the log",)
    assert counted.counted == {("0", "Data Abort"): 40, ("0", "IRQ"): 40}


def test_a_loop_that_ends_is_none() -> None:
    assert crash_and_counts(abort() * 100 + abort(0x20))[0] is None


def test_a_few_are_no_loop_yet() -> None:
    assert crash_and_counts(abort() * REPEATS)[0] is None
    assert crash_and_counts(abort() * (REPEATS + 1))[0] is not None


def test_the_exception_before_a_loop_is_said_with_its_line() -> None:
    crash, _ = crash_and_counts(abort(0x1) + abort(0x2) + abort() * 50)
    assert crash is not None
    assert crash.crash.line == 15
    assert crash.crash.repeats == (
        "50 times, up to the end of the log",
        "line 8, right before the first: Taking exception 4 [Data Abort] on CPU 0",
    )


@pytest.mark.parametrize("round_", [2, 3, 4])
def test_a_round_of_a_few_is_a_loop(round_: int) -> None:
    crash, _ = crash_and_counts("".join(abort(0x10 + place) for place in range(round_)) * 40)
    assert crash is not None
    assert crash.crash.stated["FAR_EL1"] == 0x10
    assert crash.crash.repeats[0] == f"40 times, up to the end of the log, each time with {round_ - 1} more"


def test_of_two_cpus_in_loops_the_first_is_told() -> None:
    crash, _ = crash_and_counts(abort(cpu=0) * 2 + (abort(0x30, cpu=1) + abort(0x20, cpu=0)) * 50)
    assert crash is not None
    assert crash.crash.stated["FAR_EL1"] == 0x30


def test_qemus_own_walk_of_the_address_is_said() -> None:
    walk = "riscv_cpu_tlb_fill 1st-stage address=10 ret {} physical 0000000080001010 prot 1\n"
    for result, said in ((0, "translated it to 0x80001010"), (2, "was kept from it by PMP")):
        crash, _ = crash_and_counts((walk.format(result) + TRAP.format(cause=13, tval=0x10)) * 50)
        assert crash is not None
        assert crash.crash.repeats[-1] == f"QEMU's own walk {said}"


PAGE_FAULT = """\
check_exception old: 0xffffffff new 0xe
     0: v=0e e=0002 i=0 cpl=0 IP=0008:0000000000200220 pc=0000000000200220 SP=0010:0000000000255268 CR2=0000007f12345000
RAX=0000000000000000 RBX=0000000000000000 RCX=0000000000000000 RDX=0000000000000000
CR0=80010033 CR2=0000007f12345000 CR3=0000000000204000 CR4=00000020
EFER=0000000000000d00
"""
DOUBLE_FAULT = """\
check_exception old: 0xe new 0xb
     1: v=08 e=0000 i=0 cpl=0 IP=0008:00200220 pc=00200220 SP=0010:00255268 env->regs[R_EAX]=0
RAX=0000000000000000 RBX=0000000000000000 RCX=0000000000000000 RDX=0000000000000000
"""


def test_a_fault_behind_a_double_fault_is_a_crash_of_the_first() -> None:
    crash, _ = crash_and_counts(f"{PAGE_FAULT}{DOUBLE_FAULT}check_exception old: 0x8 new 0xb\n")
    assert crash is not None
    assert crash.crash.stated["cr2"] == 0x7F12345000
    assert crash.crash.stated["error_code"] == 2
    assert crash.crash.repeats == ("the CPU could not take it, nor what that led to, and was reset",)
    assert crash_and_counts(PAGE_FAULT + DOUBLE_FAULT)[0] is None


def test_what_is_no_page_fault_is_named_on_x86() -> None:
    crash, _ = crash_and_counts(PAGE_FAULT.replace("v=0e", "v=0d") * 50)
    assert crash is not None
    assert crash.crash.unread == "#GP: only page faults are"


def test_aarch32_has_registers_of_its_own() -> None:
    narrow = abort().replace("...with FAR 0x10\n", "...with DFSR 0x805 DFAR 0x10\n")
    crash, _ = crash_and_counts(narrow * 50)
    assert crash is not None
    assert crash.crash.system == "QEMU's log of AArch32"
    assert crash.crash.stated == {"DFSR": 0x805, "DFAR": 0x10}


def test_the_view_has_the_most_frequent_first() -> None:
    _, counted = crash_and_counts(abort() + TIMER * 3)
    shown = render(view(counted))
    assert shown.index("IRQ") < shown.index("Data Abort")
    assert shown.startswith("QEMU logged 4 exceptions of AArch64 or AArch32.")


TEXTS = [log.read_bytes() for log in LOOPS] + [(abort(1) + (abort() + TIMER) * 40).encode()]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TEXTS), st.lists(st.integers(1, 4000), min_size=1, max_size=8))
def test_where_a_log_is_cut_into_blocks_makes_no_difference(text: bytes, sizes: list[int]) -> None:
    lines = text.splitlines(keepends=True)
    for grammar in exception_logs():
        whole, cut = ExceptionLog(grammar), ExceptionLog(grammar)
        whole.take(text, 1)
        place = 0
        while place < len(lines):
            size = sizes[place % len(sizes)]
            cut.take(b"".join(lines[place : place + size]), place + 1)
            place += size
        one, other = whole.end(), cut.end()
        assert whole.counted == cut.counted
        assert (one is None) is (other is None)
        if one is not None and other is not None:
            assert (one.first.line, one.times, grammar.crash(one).stated) == (
                other.first.line,
                other.times,
                grammar.crash(other).stated,
            )


def test_kinds_without_number_are_bounded() -> None:
    log = ExceptionLog(exception_logs()[0])
    log.take(b"".join(b"Taking exception 4 [name %d] on CPU %d\n" % (each, each) for each in range(5000)), 1)
    log.end()
    assert len(log.counted) <= 1 << 10


def test_faults_that_are_served_are_no_loop() -> None:
    assert crash_and_counts("".join(TIMER * 20 + abort(0x1000 * place) for place in range(60)))[0] is None
