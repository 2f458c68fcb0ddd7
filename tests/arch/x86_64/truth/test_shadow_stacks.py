"""Shadow-stack accesses: no emulator at hand makes any, so these are the SDM's rules.

Volume 3, "Access Rights", "Shadow-Stack Addresses", "Page-Fault Exceptions".
"""

from __future__ import annotations

import pytest

from gdbtools.arch.x86_64.syndrome.page_fault import decode
from gdbtools.cli import main
from gdbtools.errors import UsageError
from tests.arch.x86_64.guest import Machine

P, RW, US, D = 1, 2, 4, 1 << 6
SS, PK, U, W = 1 << 6, 1 << 5, 4, 2
CET, PKE, PKS, SMAP = 1 << 23, 1 << 22, 1 << 24, 1 << 21
STACK = 0x9000 | P | D


def machine(leaf: int, upper: int = P | RW | US, **more: int) -> Machine:
    places = (0x1000, 0x2000, 0x3000)
    memory = {pa: pa + 0x1000 | upper for pa in places} | {0x4000: leaf}
    registers = {"cr0": 0x8001_0001, "cr3": 0x1000, "cr4": 0x20 | CET, "efer": 0xD00, "maxphyaddr": 40, "eflags": 2}
    return Machine(registers | more, memory)


# The page: dirty, and read-only by its own entry alone; and of the mode that asks.
@pytest.mark.parametrize(("leaf", "upper", "who", "cause", "code"), [
    (STACK | US, P | RW | US, "user", None, 0), (STACK, P | RW, "supervisor", None, 0),
    (STACK | US | RW, P | RW | US, "user", "NOT_SHADOW_STACK", P),
    (STACK | RW, P | RW, "supervisor", "NOT_SHADOW_STACK", P),
    (0x9000 | P | US, P | RW | US, "user", "NOT_SHADOW_STACK", P), (STACK | US, P | US, "user", "NOT_SHADOW_STACK", P),
    (STACK, P | RW, "user", "SUPERVISOR_ONLY", P), (STACK | US, P | RW, "user", "SUPERVISOR_ONLY", P),
    (STACK | US, P | RW | US, "supervisor", "USER_SHADOW_STACK", P), (0, P | RW | US, "user", "NOT_PRESENT", 0),
    (STACK | 1 << 45, P | RW, "supervisor", "ADDRESS_WIDTH", P | 8),
])  # fmt: skip
def test_a_shadow_stack_is_of_one_mode_dirty_and_read_only_by_its_last_entry(leaf, upper, who, cause, code) -> None:
    for kind, write in (("shadow-stack-read", 0), ("shadow-stack-write", W)):
        expected = ("mapped", 0x9000) if cause is None else (cause, code | SS | write | (U if who == "user" else 0))
        assert machine(leaf, upper).outcome(0, kind, who) == expected


def test_ordinary_accesses_read_a_shadow_stack_and_do_not_write_it() -> None:
    page = machine(STACK | US)
    assert page.outcome(0, "read", "user") == ("mapped", 0x9000)
    assert page.outcome(0, "write", "user") == ("READ_ONLY", P | W | U)
    found, _, _ = page.ask(0, "read", "user")
    assert found.attributes is not None
    assert {str(each) for each in found.attributes.rights.values()} == {"rgx"}


def test_protection_keys_count_and_smap_does_not() -> None:
    key = 3 << 59
    for leaf, who, cr4, holder in ((STACK | US, "user", PKE, "pkru"), (STACK, "supervisor", PKS, "pkrs")):
        for bits, kind, denied in ((1, "read", True), (1, "write", True), (2, "read", False), (2, "write", True)):
            asked = machine(leaf | key, P | RW | US, cr4=0x20 | CET | cr4, **{holder: bits << 6})
            _, _, status = asked.ask(0, f"shadow-stack-{kind}", who)
            code = P | PK | SS | (W if kind == "write" else 0) | (U if who == "user" else 0)
            assert status == (code if denied else None)
    assert machine(STACK, P | RW, cr4=0x20 | CET | SMAP).outcome(0, "shadow-stack-write")[0] == "mapped"


def test_a_write_to_users_shadow_stacks_by_the_kernel_is_a_users() -> None:
    _, refused, _ = machine(STACK | US).ask(0, "shadow-stack-write", "supervisor", unprivileged=True)
    assert refused is None
    _, refused, status = machine(STACK).ask(0, "shadow-stack-write", "supervisor", unprivileged=True)
    assert refused is not None
    assert status == P | W | U | SS


def test_without_shadow_stacks_nothing_can_ask(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"cr4\.CET is 0"):
        machine(STACK, cr4=0x20).ask(0, "shadow-stack-read")
    capture = "fixtures/captures/osv-1131.core"
    assert main(["walk", "-s", capture, "0x1000", "--access", "shadow-stack-read"]) == 2
    assert "AArch64 has no shadow-stack accesses that are told from others" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "said"), [(0x47, "a shadow stack"), (0x81, "HLATP"), (0x8007, "enclave page cache")])
def test_an_error_code_names_what_only_it_tells(code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["syndrome", hex(code), "--arch", "x86_64"]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    assert decode(code).access_kind is not None
