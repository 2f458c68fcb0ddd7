"""U/S, R/W and XD with WP, SMEP, SMAP and protection keys: SDM volume 3, "Determination of Access Rights"."""

from __future__ import annotations

from itertools import product

import pytest

from gdbtools.arch.x86_64.privileges import SUPERVISOR, USER
from tests.arch.x86_64.machine import (
    AC,
    CET,
    LMA,
    LME,
    NX,
    NXE,
    PE,
    PG,
    PGE,
    PKE,
    PKS,
    ROOT,
    RW,
    SMAP,
    SMEP,
    US,
    A,
    Cpu,
    D,
    G,
    P,
    paged,
    paged_32,
    paged_pae,
)  # fmt: skip

PAGE = 0x9000 | P
FRAME = ("mapped", 0x9000)
NO_WP = PG | PE
EITHER = (False, True)


def data_may(user: bool, write: bool, users: bool, writable: bool, wp: bool, smap: bool, ac: bool) -> bool:
    """The manual's lists for data accesses, a line for each of them."""
    if not user and not users:
        return not write or writable or not wp
    if not user:
        return (not smap or ac) and (not write or writable or not wp)
    return users and (not write or writable)


@pytest.mark.parametrize("user", EITHER)
@pytest.mark.parametrize("write", EITHER)
@pytest.mark.parametrize(("upper_us", "leaf_us"), [*product(EITHER, EITHER)])
def test_data_accesses_are_allowed_as_the_manuals_lists_have_it(
    user: bool, write: bool, upper_us: bool, leaf_us: bool
) -> None:
    who, kind = "user" if user else "supervisor", "write" if write else "read"
    for upper_rw, leaf_rw, wp, smap, ac in product(EITHER, repeat=5):
        cpu = paged(
            PAGE | leaf_us * US | leaf_rw * RW, P | upper_us * US | upper_rw * RW,
            cr0=NO_WP | wp << 16, cr4=smap * SMAP, eflags=2 | ac * AC,
        )  # fmt: skip
        allowed = data_may(user, write, upper_us and leaf_us, upper_rw and leaf_rw, wp, smap, ac)
        # Bit 0: no entry is missing; bit 1: a write; bit 2: user mode.
        assert cpu.outcome(0, kind, who) == (FRAME if allowed else ("fault", 1 | write << 1 | user << 2))


def fetch_may(user: bool, users: bool, xd: bool, nxe: bool, smep: bool) -> bool:
    """The manual's lists for instruction fetches."""
    if user:
        return users and not (xd and nxe)
    return not (users and smep) and not (xd and nxe)


@pytest.mark.parametrize("user", EITHER)
@pytest.mark.parametrize(("upper_us", "leaf_us"), [*product(EITHER, EITHER)])
def test_fetches_are_allowed_as_the_manuals_lists_have_it(user: bool, upper_us: bool, leaf_us: bool) -> None:
    who = "user" if user else "supervisor"
    for upper_xd, leaf_xd, nxe, smep in product(EITHER, repeat=4):
        cpu = paged(
            PAGE | leaf_us * US | leaf_xd * NX, P | upper_us * US | upper_xd * NX,
            efer=LME | LMA | nxe * NXE, cr4=smep * SMEP,
        )  # fmt: skip
        allowed = fetch_may(user, upper_us and leaf_us, upper_xd or leaf_xd, nxe, smep)
        reserved = (upper_xd or leaf_xd) and not nxe
        # Bit 3: a reserved bit; bit 4: a fetch, which is told with NX or with SMEP alone.
        code = 1 | user << 2 | reserved << 3 | (nxe or smep) << 4
        assert cpu.outcome(0, "fetch", who) == (FRAME if allowed and not reserved else ("fault", code))


# Leaf and upper entries, what is asked, cr4, and what refuses: the first entry on the way that lacks the right.
CAUSES = [
    (PAGE, P | US, "read", "user", 0, "SUPERVISOR_ONLY descriptor[2]=0 at level 1"),
    (PAGE | US, P, "read", "user", 0, "SUPERVISOR_ONLY descriptor[2]=0 at level 4"),
    (PAGE | US, P | US | RW, "write", "user", 0, "READ_ONLY descriptor[1]=0 at level 1"),
    (PAGE | US | RW, P | US, "write", "user", 0, "READ_ONLY descriptor[1]=0 at level 4"),
    (PAGE, P, "write", "supervisor", 0, "READ_ONLY descriptor[1]=0 at level 4"),
    (PAGE | NX, P, "fetch", "supervisor", 0, "NO_EXECUTE descriptor[63]=1 at level 1"),
    (PAGE, P | NX, "fetch", "supervisor", 0, "NO_EXECUTE descriptor[63]=1 at level 4"),
    (PAGE | US | NX, P | US, "fetch", "user", SMEP, "NO_EXECUTE descriptor[63]=1 at level 1"),
    (PAGE | US, P | US, "fetch", "supervisor", SMEP, "SMEP cr4[20]=1 at level 1"),
    (PAGE | US | NX, P | US, "fetch", "supervisor", SMEP, "SMEP cr4[20]=1 at level 1"),
    (PAGE | US, P | US, "read", "supervisor", SMAP, "SMAP cr4[21]=1 at level 1"),
    (PAGE | US, P | US, "write", "supervisor", SMAP, "SMAP cr4[21]=1 at level 1"),
    (0, P | US, "read", "user", 0, "NOT_PRESENT descriptor[0]=0 at level 1"),
    # Who is kept out by U/S alone learns nothing of the rest.
    (PAGE | NX, P, "fetch", "user", SMEP, "SUPERVISOR_ONLY descriptor[2]=0 at level 4"),
    (PAGE, P, "write", "user", 0, "SUPERVISOR_ONLY descriptor[2]=0 at level 4"),
]  # fmt: skip


@pytest.mark.parametrize(("leaf", "upper", "kind", "who", "cr4", "cause"), CAUSES)
def test_what_decided_is_named_with_its_bit_and_its_level(leaf, upper, kind, who, cr4, cause) -> None:
    assert paged(leaf, upper, cr4=cr4).cause(0, kind, who) == cause


@pytest.mark.parametrize(("level", "shift"), [(1, 12), (2, 21), (3, 30)])
def test_a_register_decides_at_the_level_of_the_page(level: int, shift: int) -> None:
    leaf = P | US | (level > 1) << 7
    assert paged(leaf, P | US, level, cr4=SMAP).cause() == f"SMAP cr4[21]=1 at level {level}"
    assert paged(leaf, P | US, level, cr4=SMEP).cause(0, "fetch") == f"SMEP cr4[20]=1 at level {level}"
    keyed = paged(leaf | 5 << 59, P | US, level, cr4=PKE, pkru=1 << 10)
    assert keyed.cause() == f"KEY_NO_ACCESS pkru[10]=1 at level {level}"


def test_a_users_shadow_stack_is_refused_to_a_supervisor_by_its_own_entry() -> None:
    cpu = paged(PAGE | US | D, P | US | RW, cr4=CET)
    assert cpu.cause(0, "shadow-stack-read", "supervisor") == "USER_SHADOW_STACK descriptor[2]=1 at level 1"
    assert cpu.cause(0, "shadow-stack-read", "user") == ""


# --- Protection keys: "Protection Keys", the paragraph on what pkru and pkrs say of key i.


@pytest.mark.parametrize("key", range(16))
@pytest.mark.parametrize("users", EITHER)
def test_a_key_denies_what_its_two_bits_say(key: int, users: bool) -> None:
    register, holder = ("pkru", PKE) if users else ("pkrs", PKS)
    other = "pkrs" if users else "pkru"
    leaf = PAGE | RW | users * US | key << 59
    for bit, (reads, writes) in {0: (False, False), 1: (True, False)}.items():
        cpu = paged(leaf, cr4=holder, **{register: 1 << 2 * key + bit})
        # Bit 5: a protection key.
        assert cpu.outcome(0, "read") == (FRAME if reads else ("fault", 0x21))
        assert cpu.outcome(0, "write") == (FRAME if writes else ("fault", 0x23))
        assert cpu.outcome(0, "fetch") == FRAME, "fetches have no keys"
        name = "KEY_NO_WRITE" if bit else "KEY_NO_ACCESS"
        assert cpu.cause(0, "write") == f"{name} {register}[{2 * key + bit}]=1 at level 1"
        # Every other key's bits, those of the other register, and a register that is off, say nothing.
        assert paged(leaf, cr4=holder, **{register: 0xFFFF_FFFF & ~(3 << 2 * key)}).outcome(0, "write") == FRAME
        assert paged(leaf, cr4=holder, **{register: 0, other: 0xFFFF_FFFF}).outcome(0, "write") == FRAME
        assert paged(leaf, cr4=0, **{register: 0xFFFF_FFFF}).outcome(0, "write") == FRAME
        both = paged(leaf, cr4=PKE | PKS, **{register: 0, other: 0xFFFF_FFFF})
        assert both.outcome(0, "write") == FRAME


def test_without_wp_a_supervisor_heeds_no_write_disable_and_a_user_does() -> None:
    leaf = PAGE | RW | US | 1 << 59
    cpu = paged(leaf, cr4=PKE, cr0=NO_WP, pkru=2 << 2)
    assert cpu.outcome(0, "write", "supervisor") == FRAME
    assert cpu.outcome(0, "write", "user") == ("fault", 0x27)
    assert paged(leaf, cr4=PKE, pkru=2 << 2).outcome(0, "write", "supervisor") == ("fault", 0x23)
    denied = paged(leaf, cr4=PKE, cr0=NO_WP, pkru=1 << 2)
    assert denied.outcome(0, "write", "supervisor") == ("fault", 0x23), "access-disable is heeded always"


def test_a_key_is_in_the_error_code_whatever_else_refuses_but_not_where_user_mode_has_no_access() -> None:
    keys = {"cr4": PKE | PKS | SMAP, "pkru": 0xFFFF_FFFF, "pkrs": 0xFFFF_FFFF}
    assert paged(PAGE | US | 1 << 59, **keys).outcome(0, "write", "user") == ("fault", 0x27)
    assert paged(PAGE | US | 1 << 59, **keys).outcome(0, "read", "supervisor") == ("fault", 0x21)
    assert paged(PAGE | 1 << 59, **keys).outcome(0, "read", "user") == ("fault", 5)


def test_outside_of_long_mode_there_are_no_keys() -> None:
    assert paged_pae(PAGE | RW | US, cr4=1 << 5 | PKE, pkru=0xFFFF_FFFF).outcome(0, "write", "user") == FRAME
    assert paged_32(PAGE | RW | US, cr4=PKE, pkru=0xFFFF_FFFF).outcome(0, "write", "user") == FRAME


# --- What the map shows.

# U/S, R/W and XD of the page: what user mode may, and supervisor mode.
SHOWN = {
    (0, 0, 0): ("---", "r-x"), (0, 0, 1): ("---", "r--"), (0, 1, 0): ("---", "rwx"), (0, 1, 1): ("---", "rw-"),
    (1, 0, 0): ("r-x", "r-x"), (1, 0, 1): ("r--", "r--"), (1, 1, 0): ("rwx", "rwx"), (1, 1, 1): ("rw-", "rw-"),
}  # fmt: skip


@pytest.mark.parametrize("given", SHOWN)
def test_what_is_shown_of_a_page_is_what_it_grants(given: tuple[int, int, int]) -> None:
    us, rw, xd = given
    leaf = PAGE | us * US | rw * RW | xd * NX
    user, supervisor = SHOWN[given]
    assert paged(leaf).rights() == (user, supervisor)
    # SMEP takes the execution of user pages, and SMAP is a matter of the moment.
    assert paged(leaf, cr4=SMEP | SMAP).rights() == (user, supervisor.replace("x", "-") if us else supervisor)
    # Without WP supervisor mode writes whatever it reads.
    assert paged(leaf, cr0=NO_WP).rights() == (user, "rw" + supervisor[2])
    # What the entries above withhold is withheld.
    assert paged(leaf, P | RW).rights()[0] == "---"
    assert paged(leaf, P | US).rights() == (user.replace("w", "-"), supervisor.replace("w", "-"))
    assert paged(leaf, P | RW | US | NX).rights() == (user.replace("x", "-"), supervisor.replace("x", "-"))


@pytest.mark.parametrize("make", [paged_pae, paged_32])
def test_what_is_shown_in_the_other_modes_is_what_they_grant(make) -> None:
    assert make(PAGE | US | RW).rights() == ("rwx", "rwx")
    assert make(PAGE | US).rights() == ("r-x", "r-x")
    assert make(PAGE).rights() == ("---", "r-x")
    assert make(PAGE | US | RW, P | US).rights() == ("r-x", "r-x")
    assert make(PAGE | US | RW, P | RW).rights() == ("---", "rwx")


# Whether R/W of the page, D, R/W of the entries above, CET and WP make a shadow-stack page of it: "Determination of
# Access Rights": read-only by the last entry alone, and dirty.
SHADOW = {
    (0, D, RW, CET, True): True, (RW, D, RW, CET, True): False, (0, 0, RW, CET, True): False,
    (0, D, 0, CET, True): False, (0, D, RW, 0, True): False, (0, D, RW, CET, False): False,
    (RW, 0, 0, CET, True): False, (RW, D, 0, CET, True): False,
}  # fmt: skip


def shadow_stacks(cpu: Cpu) -> tuple[bool, bool]:
    rights = cpu.attributes().rights
    return rights[USER].shadow_stack, rights[SUPERVISOR].shadow_stack


@pytest.mark.parametrize("given", SHADOW)
def test_a_shadow_stack_is_dirty_and_read_only_by_its_last_entry_alone(given: tuple[int, int, int, int, bool]) -> None:
    rw, dirty, above, cet, wp = given
    cpu = paged(PAGE | rw | dirty, P | above, cr4=cet, cr0=NO_WP | wp << 16)
    assert shadow_stacks(cpu) == (False, SHADOW[given])
    users = paged(PAGE | US | rw | dirty, P | US | above, cr4=cet, cr0=NO_WP | wp << 16)
    assert shadow_stacks(users) == (SHADOW[given], SHADOW[given])


@pytest.mark.parametrize("level", [2, 3, 4])
def test_an_entry_above_that_is_read_only_makes_a_page_no_shadow_stack(level: int) -> None:
    cpu = paged(PAGE | D, P | RW, cr4=CET)
    assert shadow_stacks(cpu) == (False, True)
    cpu.memory[ROOT + (4 - level) * 0x1000] &= ~RW
    assert shadow_stacks(cpu) == (False, False)


def test_outside_of_long_mode_there_is_no_shadow_stack() -> None:
    assert paged_pae(PAGE | D, cr4=1 << 5 | CET).rights()[1] == "r-x"


# --- Accessed, dirty, global, and the memory type.


def test_what_is_no_page_has_no_attributes() -> None:
    for none in (paged(0), paged(PAGE | 1 << 45), paged(0, level=3), paged(P | 1 << 7, level=4)):
        assert none.walked().attributes is None
    assert paged(PAGE).walked(1 << 63).attributes is None, "no table is read for it"


def test_flags_of_a_page_are_shown() -> None:
    for accessed, dirty, everywhere, enabled in product(EITHER, repeat=4):
        shown = paged(PAGE | accessed * A | dirty * D | everywhere * G, cr4=enabled * PGE).attributes()
        assert (shown.accessed, shown.dirty) == (accessed, dirty)
        assert shown.is_global is (everywhere and enabled), "G counts while cr4.PGE is 1"
        assert (shown.contiguous, shown.shareability) == (False, "")


# A type for each of the eight that PAT, PCD and PWT choose: no two that a wrong bit could confuse.
TYPES = ["WB", "WT", "UC-", "UC", "WC", "WP", "WT", "WB"]
CODES = {"UC": 0, "WC": 1, "WT": 4, "WP": 5, "WB": 6, "UC-": 7}


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("index", range(8))
def test_pat_pcd_and_pwt_choose_one_of_eight_memory_types(level: int, index: int) -> None:
    pat = sum(CODES[name] << 8 * number for number, name in enumerate(TYPES))
    large = level > 1
    chosen = (index >> 2 & 1) << (12 if large else 7) | (index >> 1 & 1) << 4 | (index & 1) << 3
    shown = paged(P | large << 7 | chosen, level=level, pat=pat).attributes()
    assert shown.memory == TYPES[index]
    assert shown.device is (TYPES[index] in ("UC", "UC-", "WC"))
