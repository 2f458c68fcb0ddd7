"""Physical memory protection: matching, priority, who is asked, and Smepmp's table.

"Address Matching", "Locking and Privilege Mode", "Priority and Matching Logic", "Physical Memory Protection and
Paging", and the truth table of Smepmp.
"""

from __future__ import annotations

from collections import Counter

import pytest

from gdbtools.arch.riscv.permissions.physical import protection
from gdbtools.errors import Unavailable
from tests.arch.riscv.machine import AD, ADUE, RAM, A, Hart, R, V, W, X, paged

TOR, NA4, NAPOT, LOCK = 1 << 3, 2 << 3, 3 << 3, 1 << 7
PR, PW, PX = 1, 2, 4
EVERYWHERE = (1 << 54) - 1
KINDS = {"r": "read", "w": "write", "x": "fetch"}

# Smepmp, mseccfg.MML=1.  L, R, W, X: what M-mode may, and what S-mode and U-mode may.
LOCKDOWN = {
    "0000": ("", ""), "0001": ("", "x"), "0010": ("rw", "r"), "0011": ("rw", "rw"),
    "0100": ("", "r"), "0101": ("", "rx"), "0110": ("", "rw"), "0111": ("", "rwx"),
    "1000": ("", ""), "1001": ("x", ""), "1010": ("x", "x"), "1011": ("rx", "x"),
    "1100": ("r", ""), "1101": ("rx", ""), "1110": ("rw", ""), "1111": ("r", "r"),
}  # fmt: skip


def bare(**regs: int) -> Hart:
    return Hart({"satp": 0, "mstatus": 0, "menvcfg": 0, "priv": 1, **regs})


def granted(hart: Hart, mode: str, pa: int = RAM) -> str:
    return "".join(letter for letter, kind in KINDS.items() if hart.outcome(pa, kind, mode)[0] == "mapped")


@pytest.mark.parametrize("lrwx", LOCKDOWN)
def test_smepmps_table(lrwx: str) -> None:
    lock, r, w, x = map(int, lrwx)
    hart = bare(pmpcfg0=lock * LOCK | NAPOT | r * PR | w * PW | x * PX, pmpaddr0=EVERYWHERE, mseccfg=1)
    assert (granted(hart, "m"), granted(hart, "s"), granted(hart, "u")) == (*LOCKDOWN[lrwx], LOCKDOWN[lrwx][1])


@pytest.mark.parametrize("rights", range(8))
@pytest.mark.parametrize("lock", [0, LOCK])
def test_an_entry_is_enforced_on_m_mode_where_it_is_locked(rights: int, lock: int) -> None:
    hart = bare(pmpcfg0=lock | NAPOT | rights, pmpaddr0=EVERYWHERE)
    named = "".join(letter for letter, bit in (("r", PR), ("w", PW), ("x", PX)) if rights & bit)
    assert granted(hart, "s") == granted(hart, "u") == named
    assert granted(hart, "m") == (named if lock else "rwx")


@pytest.mark.parametrize(("mode", "address", "before", "first", "last"), [
    (NA4, RAM >> 2, 0, RAM, RAM + 3),
    (NAPOT, RAM >> 2, 0, RAM, RAM + 7),
    (NAPOT, RAM >> 2 | 0b0111, 0, RAM, RAM + 0x3F),
    (NAPOT, RAM >> 2 | 0x1FF, 0, RAM, RAM + 0xFFF),
    (TOR, RAM + 0x123 * 4 >> 2, RAM >> 2, RAM, RAM + 0x123 * 4 - 1),
])  # fmt: skip
def test_what_an_entry_matches(mode: int, address: int, before: int, first: int, last: int) -> None:
    hart = bare(pmpcfg0=(mode | PR) << 8, pmpaddr0=before, pmpaddr1=address)
    for pa, inside in ((first - 1, False), (first, True), (last, True), (last + 1, False)):
        assert (granted(hart, "s", pa) == "r") is inside, hex(pa)
        if not inside:
            assert hart.cause(pa) == "UNPROTECTED pmpcfg0.pmp1cfg"


def test_the_first_entry_that_matches_decides() -> None:
    hart = bare(pmpcfg0=(NAPOT | PR | PW) << 8 | NAPOT | PR, pmpaddr0=RAM >> 2 | 0x1FF, pmpaddr1=EVERYWHERE)
    assert hart.cause(RAM, "write") == "PROTECTED pmpcfg0.pmp0cfg"
    assert hart.cause(RAM + 0x1000, "write") == ""
    # Of an empty range no address is.
    hart.regs |= {"pmpcfg0": (NAPOT | PR | PW) << 8 | TOR, "pmpaddr0": 0}
    assert hart.cause(RAM, "write") == ""


@pytest.mark.parametrize(("kind", "code"), [("read", 5), ("write", 7), ("fetch", 1)])
def test_an_access_fault_is_of_the_original_access(kind: str, code: int) -> None:
    hart = paged(V | R | W | X | AD, pmpcfg0=(NAPOT | 7) << 8 | NAPOT, pmpaddr0=RAM + 0x40_0000 >> 2 | 0x1FF,
                 pmpaddr1=EVERYWHERE)  # fmt: skip
    assert hart.outcome(0, kind, "s") == ("fault", code)
    # So is that of an entry which the walk may not read, wherever that is.
    hart.regs["pmpaddr0"] = RAM + 0x1000 >> 2 | 0x1FF
    assert hart.outcome(0, kind, "s") == ("fault", code)
    found, refused, _ = hart.ask(0, kind, "s")
    assert refused is not None
    assert (refused.fault.level, len(found.steps)) == (1, 1)


def test_setting_accessed_is_a_write_to_the_table() -> None:
    regs = {"pmpcfg0": (NAPOT | 7) << 8 | NAPOT | PR, "pmpaddr0": RAM + 0x2000 >> 2 | 0x1FF, "pmpaddr1": EVERYWHERE}
    assert paged(V | R, menvcfg=ADUE, **regs).cause(0) == "PROTECTED pmpcfg0.pmp0cfg"
    assert paged(V | R | A, menvcfg=ADUE, **regs).cause(0) == ""


def test_a_part_of_an_entry_is_not_enough() -> None:
    hart = paged(V | R | AD, pmpcfg0=(NAPOT | 7) << 8 | NA4 | 7, pmpaddr0=RAM >> 2, pmpaddr1=EVERYWHERE)
    assert hart.cause(0) == "PARTLY_PROTECTED pmpcfg0.pmp0cfg"


def test_m_mode_is_denied_by_policy_only() -> None:
    hart = bare(pmpcfg0=NAPOT | 7, pmpaddr0=RAM >> 2)
    assert granted(hart, "m", 0x1000) == "rwx"
    hart.regs["mseccfg"] = 1
    assert granted(hart, "m", 0x1000) == "rw"
    assert hart.cause(0x1000, "fetch", "m") == "UNPROTECTED_MACHINE mseccfg.MML"
    hart.regs["mseccfg"] = 2
    assert granted(hart, "m", 0x1000) == ""
    assert hart.cause(0x1000, "read", "m") == "UNPROTECTED_MACHINE mseccfg.MMWP"


@pytest.mark.parametrize("regs", [{}, {"pmpcfg0": 0, "pmpaddr0": 0}])
def test_what_is_not_known_is_said_and_refuses_nothing(regs: dict[str, int]) -> None:
    found, refused, _ = bare(**regs).ask(RAM, "write", "s")
    assert refused is None
    assert found.regime.assumed == ("pmpcfg, pmpaddr: not known, taken to grant everything",)


def test_entries_that_are_all_off_deny_everything_below_m_mode() -> None:
    hart = bare(pmpcfg0=PR, pmpaddr0=EVERYWHERE)
    assert (granted(hart, "s"), granted(hart, "m")) == ("", "rwx")


def test_an_address_without_configuration_is_of_an_entry_that_is_off() -> None:
    hart = bare(pmpcfg0=0, pmpaddr0=RAM >> 2)
    assert (granted(hart, "s"), granted(hart, "m")) == ("", "rwx")


def test_what_denies_is_named_with_what_its_register_has() -> None:
    for config in (0, PR, PR | PW | PX):
        _, refused, _ = bare(pmpcfg0=config, pmpaddr0=EVERYWHERE).ask(RAM, "read", "u")
        assert refused is not None
        decider = refused.decider
        assert (decider.holder, decider.field.name, decider.value) == ("pmpcfg0", "pmp0cfg", config)


def test_the_first_entrys_range_begins_at_zero() -> None:
    hart = bare(pmpcfg0=TOR | PR, pmpaddr0=0x1000 >> 2)
    for pa, inside in ((0, True), (4, True), (0xFFF, True), (0x1000, False)):
        assert (granted(hart, "s", pa) == "r") is inside, hex(pa)


# pmpcfg0 by entry, and which addresses are known: what is not known of an entry that counts leaves all unknown.
@pytest.mark.parametrize(("config", "addresses", "known"), [
    (NAPOT | PR, {}, False),
    (NAPOT | PR, {0: EVERYWHERE}, True),
    ((NAPOT | PR) << 8, {1: EVERYWHERE}, True),
    ((TOR | PR) << 8, {1: EVERYWHERE}, False),
    ((TOR | PR) << 8, {0: 0}, False),
    ((TOR | PR) << 8, {0: 0, 1: EVERYWHERE}, True),
    ((NA4 | PR) << 8 | NAPOT | PR, {0: EVERYWHERE}, False),
])  # fmt: skip
def test_a_missing_address_of_an_entry_that_counts_is_not_taken_for_zero(
    config: int, addresses: dict[int, int], known: bool
) -> None:
    hart = bare(pmpcfg0=config, **{f"pmpaddr{entry}": value for entry, value in addresses.items()})
    found, refused, _ = hart.ask(RAM, "write", "s")
    assert (found.regime.assumed == ()) is known
    assert (refused is not None) is known


def test_registers_that_say_nothing_are_not_asked_and_the_others_once() -> None:
    """Each is a question of the debugger's, and there are 80."""
    asked: Counter[str] = Counter()
    values = {"pmpcfg0": NAPOT | PR | (TOR | PR) << 16, "pmpcfg2": 0} | {f"pmpaddr{entry}": RAM for entry in range(16)}

    def register(name: str) -> int:
        asked[name] += 1
        if name in values:
            return values[name]
        raise Unavailable(name)

    found = protection(register, 64)
    assert found is not None
    assert [each.number for each in found.ranges] == [0, 2]
    assert asked == dict.fromkeys(("pmpcfg0", "pmpcfg2", "pmpcfg4", "pmpaddr0", "pmpaddr1", "pmpaddr2", "mseccfg"), 1)
