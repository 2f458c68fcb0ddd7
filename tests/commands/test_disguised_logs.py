"""`explain`: whatever a console, a journal, a mail or a CI has made of a log, its crash is the same."""

from __future__ import annotations

import json
import quopri
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdbtools.commands.explain.view import record
from tests.commands.test_explain import LOGS, NULL_WRITE, explained, one

Lines = Sequence[str]
BARE: Final = {
    log.stem: re.sub(r"(?m)^(?:\[ *\d+\.\d+\] |\(XEN\) )", "", log.read_text())
    for log in LOGS
    if not log.stem.startswith("qemu-")
}
"""What each system printed, and nothing before it; QEMU's own log is no console's."""


def _before(prefix: str, end: str = "\n") -> Callable[[Lines], str]:
    return lambda lines: "".join(f"{prefix}{line}{end}" for line in lines)


def _journal(lines: Lines) -> str:
    others = {"_TRANSPORT": "kernel", "PRIORITY": "1", "_BOOT_ID": "0123456789abcdef" * 8, "_HOSTNAME": "board"}
    return "".join(json.dumps({**others, "MESSAGE": line}) + "\n" for line in lines)


def _journal_of_bytes(lines: Lines) -> str:
    return "".join(json.dumps({"MESSAGE": [*line.encode()], "PRIORITY": "1"}) + "\n" for line in lines)


def _container(lines: Lines) -> str:
    return "".join(json.dumps({"log": f"[   12.5] {line}\n", "stream": "stdout"}) + "\n" for line in lines)


def _printable(lines: Lines) -> str:
    return quopri.encodestring("".join(f"> {line}\n" for line in lines).encode()).decode()


def _wrapped_after_commas(lines: Lines) -> str:
    return "\n".join(re.sub(r", (?=p(?:4d|ud|md|te)=)", ",\n", line) for line in lines)


def _wrapped_as_mail(lines: Lines) -> str:
    """Return them as a mail's editor breaks them: a broken line has no time before its rest."""
    return "".join(
        "> " + "\n> ".join(textwrap.wrap(f"[   12.628758] {line}", 76, break_long_words=False) or [""]) + "\n"
        for line in lines
    )


def _interleaved(lines: Lines) -> str:
    others = "[   12.628760] usb 1-1: new high-speed USB device number 2 using xhci_hcd\n"
    return "".join(f"[   12.628758] {line}\n{others}" for line in lines)


def _cut_into(lines: Lines) -> str:
    """Return them with another's line written into each, behind the words that it is known by."""
    other = "[   12.628760] usb 1-1: new high-speed USB device number 2 using xhci_hcd\n"
    halves = [(line[: len(line) * 2 // 3], line[len(line) * 2 // 3 :]) for line in lines]
    return "".join(f"[   12.628758] {first}{other}{rest}\n" for first, rest in halves)


def _beside_another_task(lines: Lines) -> str:
    """Return two crashes at once, a line of each by turns, as CONFIG_PRINTK_CALLER marks them."""
    other = "[   12.628759][   T99] Unable to handle kernel paging request at virtual address ffff0000deadbeef\n"
    return other + "".join(
        f"[   12.628758][   T67] {line}\n[   12.628759][   T99]   ESR = 0x0000000096000005\n" for line in lines
    )


DISGUISES: Final[Mapping[str, Callable[[Lines], str]]] = {
    "as it is": _before(""),
    "CRLF": _before("", "\r\n"),
    "level": _before("<1>[   12.628758] "),
    "dmesg -x": _before("kern  :alert : [   12.628758] "),
    "dmesg -T": _before("[Fri Nov 27 22:15:36 2026] "),
    "task": _before("[   12.628758] [  T67] "),
    "task, close": _before("[   12.628758][  T67] "),
    "CPU": _before("[   12.628758] [  C0] "),
    "kmsg": _before("1,512,12628758,-,caller=T67;"),
    "syslog": _before("Nov 27 22:15:36 board kernel: [   12.628758] "),
    "RFC 5424": _before("<1>1 2026-11-27T22:15:36.123456+00:00 board kernel - - - [   12.628758] "),
    "journal": _before("Nov 27 22:15:36 board kernel: "),
    "journal, iso": _before("2026-11-27T22:15:36+0000 board kernel: "),
    "journal, precise": _before("Fri 2026-11-27 22:15:36 UTC board kernel: "),
    "journal, monotonic": _before("[   12.628758] board kernel: "),
    "journal, unix": _before("1732745736.123456 board kernel: "),
    "journal, json": _journal,
    "journal, json of bytes": _journal_of_bytes,
    "journal, export": _before("MESSAGE="),
    "container": _container,
    "composed": _before("vm_1      | [   12.628758] "),
    "GitHub": _before("2026-11-27T22:15:36.1234567Z [   12.628758] "),
    "GitHub, downloaded": _before("boot\tRun the guest\t2026-11-27T22:15:36.1234567Z "),
    "GitLab": _before("2026-11-27T22:15:36.123456Z 01O [   12.628758] "),
    "GitLab, goes on": _before("2026-11-27T22:15:36.123456Z 01O+"),
    "terminal": _before("[2026-11-27 22:15:36.123] "),
    "Android": _before("11-27 22:15:36.123     0     0 E         : "),
    "Xen's console": _before("(XEN) [2026-11-27 22:15:36] "),
    "guest of Xen": _before("(d1) [   12.628758] "),
    "mail": _before("> > [   12.628758] "),
    "mail, printable": _printable,
    "colours": _before("\x1b[32m[   12.628758] \x1b[0m\x1b[33m", "\x1b[0m\n"),
    "wrapped after commas": _wrapped_after_commas,
    "wrapped as a mail": _wrapped_as_mail,
    "other lines between": _interleaved,
    "others written into each": _cut_into,
    "another task's crash between": _beside_another_task,
}
UNSTACKABLE: Final = {
    "journal, json of bytes",
    "mail, printable", "wrapped after commas", "wrapped as a mail", "others written into each",
    "another task's crash between",
}  # fmt: skip
"""Those after which a line is no line any more, which no other of them could then stand before."""
CODES: Final[Mapping[str, Callable[[str], bytes]]] = {
    "utf-8": str.encode,
    "utf-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le without a mark": lambda text: text.encode("utf-16-le"),
    "utf-16-be without a mark": lambda text: text.encode("utf-16-be"),
    "latin-1": lambda text: f"Grüße vom Gerät\n{text}".encode("latin-1"),
    "with NULs": lambda text: text.replace("\n", "\n\0").encode(),
}


def answer(text: bytes, title: str) -> dict[str, Any]:
    """Return what is recorded of the one crash of that title, but for where it stands."""
    told = [record(each) for each in explained(text)]
    (found,) = (each for each in told if each["crash"] is not None and each["crash"]["title"] == title)
    why = re.sub(r"in line \d+", "", found["why"] or "")
    return {**found, "why": why, "crash": {**found["crash"], "line": 0}}


@cache
def plain(stem: str) -> dict[str, Any]:
    return answer(BARE[stem].encode(), one(BARE[stem]).crash.title)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguised_log_has_the_same_answer(disguise: str) -> None:
    for stem in (each for each in BARE if "null-write" in each or "process" in each):
        text = DISGUISES[disguise](BARE[stem].splitlines())
        assert answer(text.encode(), plain(stem)["crash"]["title"]) == plain(stem), stem


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(BARE)),
    st.lists(st.sampled_from(sorted(set(DISGUISES) - UNSTACKABLE)), max_size=2),
    st.sampled_from(sorted(CODES)),
    st.integers(0, 40),
)
def test_disguises_may_be_worn_over_one_another(stem: str, worn: list[str], code: str, ahead: int) -> None:
    text = "booting\n" * ahead + BARE[stem]
    for disguise in worn:
        text = DISGUISES[disguise](text.splitlines())
    assert answer(CODES[code](text), plain(stem)["crash"]["title"]) == plain(stem)


@pytest.mark.parametrize("at", range(0, 12, 3))
def test_of_two_tasks_each_has_its_own_crash(at: int) -> None:
    ours, theirs = BARE["linux-6.1-null-write"].splitlines(), BARE["linux-6.1-read-only"].splitlines()
    lines = [f"[    1.5][  T{67 if own else 68}] {line}" for own, line in [(True, each) for each in ours[:at]]]
    for own, other in zip(ours[at:], theirs, strict=False):
        lines += [f"[    1.5][   T67] {own}", f"[    1.6][   T68] {other}"]
    told = [record(each) for each in explained("\n".join(lines))]
    assert sorted(each["fault"]["sentence"] for each in told) == sorted(
        plain(stem)["fault"]["sentence"] for stem in ("linux-6.1-null-write", "linux-6.1-read-only")
    )


def test_lines_of_two_cpus_that_nothing_tells_apart_are_said_to_be_mixed() -> None:
    second = "CPU: 1 PID: 99 Comm: other Not tainted 6.1.0-50-cloud-arm64 #1  Debian 6.1.176-1"
    mixed = NULL_WRITE.replace("Hardware name", f"{second}\nHardware name")
    assert one(mixed).crash.doubts == ("lines of CPUs 0 and 1 are mixed: which registers are whose is not shown",)


@pytest.mark.parametrize(
    ("whole", "torn"),
    [
        ("ESR = 0x0000000096000046", "ESR = 0x000"),
        ("pud=080000004812b003, pmd=0000000000000000", "pud=0800"),
        ("pgdp=0000000048122000", ""),
        ("pstate: 80000005 (Nzcv", "pstate: 800"),
    ],
)
def test_a_torn_line_is_named(whole: str, torn: str) -> None:
    crash = one(NULL_WRITE.replace(whole, torn)).crash
    (said,) = crash.torn
    assert said.text in NULL_WRITE.replace(whole, torn).splitlines()[said.line - 1]
    assert torn in said.text


def test_a_torn_first_line_is_named_and_its_crash_answered() -> None:
    answered = one(NULL_WRITE.replace("at virtual address 0000000000000010", "at virt"))
    assert [each.text for each in answered.crash.torn] == ["Unable to handle kernel NULL pointer dereference at virt"]
    assert answered.crash.stated["ESR_EL1"] == 0x96000046


@pytest.mark.parametrize("first", ["  ESR = ", "user pgtable", "Internal error"])
def test_a_text_may_begin_in_the_middle_of_a_crash(first: str) -> None:
    whole, cut = one(NULL_WRITE), one(NULL_WRITE[NULL_WRITE.index(first) :])
    assert cut.crash.stated["ESR_EL1"] == whole.crash.stated["ESR_EL1"]
    assert cut.crash.where == whole.crash.where


@pytest.mark.parametrize("first", ["#PF: error_code", "Oops: "])
def test_so_may_one_of_x86(first: str) -> None:
    text = BARE["linux-6.1-x86-null-write"]
    whole, cut = one(text), one(text[text.index(first) :])
    assert cut.crash.stated["cr2"] == whole.crash.stated["cr2"]
    assert cut.crash.stated["error_code"] == whole.crash.stated["error_code"]


def test_a_status_that_is_not_the_syndromes_is_said() -> None:
    changed = NULL_WRITE.replace("FSC = 0x06: level 2", "FSC = 0x05: level 1")
    assert one(changed).crash.doubts == (
        "FSC is said to be 0x5, level 1 translation fault, and the syndrome is 0x96000046",
    )
