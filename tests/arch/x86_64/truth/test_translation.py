"""Which mode of paging, who asks, which addresses there are: SDM volume 3, "Paging Modes and Control Bits"."""

from __future__ import annotations

import pytest

from gdbtools.addresses import VA
from gdbtools.arch.model import Mapped, written_down
from gdbtools.arch.x86_64.architecture import X86_64
from gdbtools.arch.x86_64.privileges import SUPERVISOR, USER
from gdbtools.arch.x86_64.translation.linear import Linear
from gdbtools.errors import Unavailable, UsageError
from tests.arch.x86_64.machine import (
    CET,
    LA57,
    LAM_SUP,
    LAM_U48,
    LAM_U57,
    LMA,
    LME,
    NX,
    NXE,
    PAE,
    PCIDE,
    PE,
    PG,
    PGE,
    PKE,
    PKS,
    PSE,
    ROOT,
    RW,
    US,
    VM,
    WP,
    Cpu,
    P,
    long_mode,
    paged,
    paged_32,
    paged_pae,
)  # fmt: skip

ON, LONG = PG | PE | WP, NXE | LME | LMA
# "Paging Modes and Control Bits", its first table: cr0.PG, cr4.PAE, EFER.LMA, cr4.LA57, and the mode.
MODES = {
    (PE, 0, 0): None,
    (PE, PAE, LME): None,
    (PE, PAE | LA57, LME): None,
    (ON, 0, 0): "32-bit paging",
    (ON, LA57, 0): "32-bit paging",
    (ON, PAE, 0): "PAE paging",
    (ON, PAE | LA57, NXE): "PAE paging",
    (ON, PAE, LONG): "4-level paging",
    (ON, PAE | LA57, LONG): "5-level paging",
}


@pytest.mark.parametrize("controls", MODES)
def test_control_bits_choose_the_mode(controls: tuple[int, int, int]) -> None:
    cr0, cr4, efer = controls
    regime = Cpu(long_mode(cr0=cr0, cr4=cr4, efer=efer)).regime()
    if MODES[controls] is None:
        assert (regime.levels, regime.short_name) == ((), "no paging")
    else:
        assert isinstance(regime, Linear)
        assert regime.mode.name == MODES[controls]
        assert regime.short_name == f"cr3 ({MODES[controls]})"
        assert regime.own_name == f"linear addresses, cr3 ({MODES[controls]})"
        assert regime.root_register == "cr3"
        assert regime.entry_bytes == (4 if MODES[controls] == "32-bit paging" else 8)


# "Use of CR3 with ...": which of its bits are the address of the first table.
ROOTS = [
    (long_mode(cr3=0xFFFF_FFFF_FFFF_FFFF), 0x000F_FFFF_FFFF_F000),
    (long_mode(5, cr3=0xFFFF_FFFF_FFFF_FFFF), 0x000F_FFFF_FFFF_F000),
    (long_mode(cr3=0xFFFF_FFFF_FFFF_FFFF, cr4=PAE | PCIDE), 0x000F_FFFF_FFFF_F000),
    (long_mode(cr3=0xFFFF_FFFF, cr4=PAE, efer=NXE), 0xFFFF_FFE0),
    (long_mode(cr3=0xFFFF_FFFF, cr4=0, efer=0), 0xFFFF_F000),
]


@pytest.mark.parametrize(("regs", "root"), ROOTS)
def test_the_root_is_where_cr3_has_it(regs: dict[str, int], root: int) -> None:
    assert Cpu(regs).regime().root == root


def layout(**regs: int) -> set[str]:
    return {field.name for field in X86_64.word("cr3", written_down({"cr3": 0, **regs})).fields()}


def test_cr3_is_laid_out_as_its_mode_has_it() -> None:
    caching, masks = {"PCD", "PWT"}, {"LAM_U48", "LAM_U57"}
    assert layout(cr4=PAE, efer=LMA) == {"ROOT"} | caching | masks
    assert layout(cr4=PAE | PCIDE, efer=LMA) == {"ROOT", "PCID"} | masks
    assert layout(cr4=PAE, efer=0) == layout(cr4=0, efer=0) == {"ROOT"} | caching
    assert layout(cr4=PAE) == layout() == {"ROOT"} | caching | masks, "where the mode is not known it is long mode's"
    narrow, pae = (X86_64.word("cr3", written_down({"cr3": 0, "cr4": cr4, "efer": 0})) for cr4 in (0, PAE))
    assert (narrow.field("ROOT").position, pae.field("ROOT").position) == ("[31:12]", "[31:5]")


# --- Who asks.


@pytest.mark.parametrize("cpl", range(4))
def test_privilege_level_3_is_user_mode_and_every_other_supervisor_mode(cpl: int) -> None:
    def asks(**regs: int) -> object:
        return X86_64.privilege(written_down(long_mode(**regs)))

    assert asks(cs=0x30 | cpl) == (USER if cpl == 3 else SUPERVISOR)
    assert asks(cs=0x30 | cpl, cr0=0) == SUPERVISOR, "real mode"
    assert asks(cs=cpl, eflags=VM) == USER, "virtual-8086 mode"
    assert asks(cs=0x1000 | cpl, cr0=0, eflags=0) == SUPERVISOR
    lacking = {name: value for name, value in long_mode().items() if name not in ("cs", "eflags")}
    assert X86_64.privilege(written_down(lacking)) == SUPERVISOR


def test_user_mode_is_the_least_privileged() -> None:
    assert (USER.is_user, SUPERVISOR.is_user) == (True, False)
    assert USER < SUPERVISOR
    assert (USER.label, SUPERVISOR.label) == ("user", "supervisor")


# --- Which addresses.

# Levels, the last address of the lower half, the first of the upper: "Canonical Addressing" with 48 and 57 bits.
HALVES = [(4, 0x0000_7FFF_FFFF_FFFF, 0xFFFF_8000_0000_0000), (5, 0x00FF_FFFF_FFFF_FFFF, 0xFF00_0000_0000_0000)]
TOP = 0xFFFF_FFFF_FFFF_FFFF


@pytest.mark.parametrize(("levels", "last", "first"), HALVES)
def test_addresses_are_canonical_or_raise_a_general_protection(levels: int, last: int, first: int) -> None:
    cpu = Cpu(long_mode(levels))
    decided = f"NOT_CANONICAL cr4[12]={int(levels == 5)}"
    for address in (last + 1, first - 1, 1 << 63, 1 << 62):
        assert cpu.outcome(address) == ("fault", None)
        assert cpu.cause(address) == decided
    for address in (0, last, first, TOP):
        assert cpu.cause(address) == f"NOT_PRESENT descriptor[0]=0 at level {levels}"


@pytest.mark.parametrize(("levels", "last", "first"), HALVES)
def test_the_two_halves_are_two_ranges_of_one_root(levels: int, last: int, first: int) -> None:
    register = written_down(long_mode(levels))
    whole = X86_64.regime_for(register, VA(0))
    lower, upper = X86_64.regimes(register)
    assert (whole.first, whole.last) == (0, TOP)
    assert (lower.first, lower.last, upper.first, upper.last) == (0, last, first, TOP)
    assert (lower.short_name, upper.short_name) == tuple(
        f"cr3 ({levels}-level paging), {each} half" for each in ("lower", "upper")
    )
    assert lower.root == upper.root == ROOT
    assert lower.admit(VA(last)) is upper.admit(VA(first)) is None
    assert lower.admit(VA(first)) is not None
    assert upper.admit(VA(last)) is not None
    assert whole.output_last == (1 << 40) - 1


@pytest.mark.parametrize(("make", "pae"), [(paged_pae, 1), (paged_32, 0)])
def test_addresses_of_32_bits_end_there(make, pae: int) -> None:
    cpu = make(0)
    assert (cpu.regime().first, cpu.regime().last) == (0, 0xFFFF_FFFF)
    assert cpu.cause(1 << 32) == f"ADDRESS_TOO_LARGE cr4[5]={pae}"
    assert cpu.outcome(1 << 32) == ("fault", None)
    assert "NOT_PRESENT" in cpu.cause(0xFFFF_FFFF)
    assert X86_64.regimes(written_down(cpu.regs)) == (cpu.regime(),)


def test_every_level_takes_its_bits_of_the_address() -> None:
    indices = (1, 2, 3, 4)
    address = sum(index << 39 - 9 * number for number, index in enumerate(indices)) | 0x567
    tables = (ROOT, 0x2000, 0x3000, 0x4000)
    cpu = Cpu(long_mode())
    for table, index, entry in zip(tables, indices, (0x2000, 0x3000, 0x4000, 0x9000), strict=True):
        cpu.memory[table + 8 * index] = entry | P
    assert cpu.outcome(address) == ("mapped", 0x9567)
    assert [step.pa for step in cpu.walked(address).steps] == [
        table + 8 * index for table, index in zip(tables, indices, strict=True)
    ]


@pytest.mark.parametrize(("level", "size"), [(1, 1 << 12), (2, 1 << 21), (3, 1 << 30)])
@pytest.mark.parametrize("levels", [4, 5])
def test_a_page_has_its_levels_size(levels: int, level: int, size: int) -> None:
    cpu = paged(7 * size | P | (level > 1) << 7, level=level, levels=levels)
    outcome = cpu.walked(size - 1).outcome
    assert isinstance(outcome, Mapped)
    assert (outcome.address, outcome.size_bytes) == (8 * size - 1, size)


def test_bit_12_of_a_large_page_is_no_part_of_its_address() -> None:
    assert paged(P | 1 << 7 | 1 << 12, level=2).outcome(0x1FFFFF) == ("mapped", 0x1F_FFFF)


@pytest.mark.parametrize(("level", "low"), [(1, 12), (2, 21), (3, 30)])
def test_the_bits_of_a_leaf_that_count_up_are_those_of_its_address(level: int, low: int) -> None:
    regime = paged(P).regime()
    assert regime.linear_bits(regime.levels[4 - level]) == sum(1 << bit for bit in range(low, 40))
    assert regime.table_bits() == sum(1 << bit for bit in range(12, 40))
    narrow = paged_32(P).regime()
    assert narrow.linear_bits(narrow.levels[0]) == sum(1 << bit for bit in range(22, 32))
    assert narrow.linear_bits(narrow.levels[1]) == narrow.table_bits() == sum(1 << bit for bit in range(12, 32))


def test_what_is_handed_down_is_what_an_entry_withholds() -> None:
    regime = paged(P).regime()
    level = regime.levels[1]
    for us in (0, US):
        for rw in (0, RW):
            for xd in (0, NX):
                entry = regime.decode((0x2000 | P | us | rw | xd).to_bytes(8, "little"), level)
                assert regime.handed_down(entry) == (US ^ us) | (RW ^ rw) | xd


# --- "Linear-Address Masking": which bits of a data address are no part of it.

USER_48, USER_57 = sum(1 << n for n in range(48, 63)), sum(1 << n for n in range(57, 63))
MASKED = [
    # cr3, cr4, levels, an address, and what it is translated as (None: as it is)
    (0, 0, 4, USER_48 | 0x1000, None),
    (LAM_U48, 0, 4, USER_48 | 0x1000, 0x1000),
    (LAM_U48, 0, 4, USER_48 | 0x7FFF_FFFF_F000, 0x7FFF_FFFF_F000),
    (LAM_U48, 0, 4, USER_48 | 1 << 47, None),
    (LAM_U48, 0, 5, USER_48 | 0x1000, 0x1000),
    (LAM_U57, 0, 4, USER_57 | 0x1000, 0x1000),
    (LAM_U57, 0, 4, USER_57 | 1 << 56, None),
    (LAM_U57, 0, 4, USER_48 | 0x1000, None),
    (LAM_U57, 0, 4, 1 << 57 | 1 << 50, 1 << 50),
    (LAM_U57 | LAM_U48, 0, 4, 1 << 57 | 1 << 50, 1 << 50),
    (LAM_U48, 0, 4, 1 << 63 | 1 << 47, None),
    (0, LAM_SUP, 4, 1 << 63 | 1 << 47 | 0x1000, 0xFFFF_8000_0000_1000),
    (0, LAM_SUP, 4, 1 << 63 | 0x1000, None),
    (0, LAM_SUP, 5, 1 << 63 | 1 << 56 | 0x1000, 0xFF00_0000_0000_1000),
    (0, LAM_SUP, 5, 1 << 63 | 1 << 47, None),
    (0, LAM_SUP, 4, USER_48 | 0x1000, None),
    (LAM_U48, LAM_SUP, 4, USER_48 | 0x1000, 0x1000),
]  # fmt: skip


@pytest.mark.parametrize(("cr3", "cr4", "levels", "address", "wanted"), MASKED)
def test_masked_bits_of_a_data_address_become_its_highest_one(cr3, cr4, levels, address, wanted) -> None:
    made = long_mode(levels)
    regime = Cpu(made | {"cr3": ROOT | cr3, "cr4": made["cr4"] | cr4}).regime()
    assert regime.translated(VA(address)) == (address if wanted is None else wanted)
    top = TOP & ~((1 << (48 if levels == 4 else 57)) - 1)
    assert regime.tag_of(VA(address)) == (0 if wanted in (None, address) else address & top)


def test_an_address_without_masked_bits_is_itself_and_no_other_mode_has_any() -> None:
    regime = Cpu(long_mode(cr3=ROOT | LAM_U48)).regime()
    assert (regime.translated(VA(0x1000)), regime.tag_of(VA(0x1000))) == (0x1000, 0)
    pae = Cpu(long_mode(cr3=ROOT | LAM_U48, cr4=PAE | LAM_SUP, efer=0)).regime()
    assert isinstance(pae, Linear)
    assert pae.masking is None


# --- What stands in for what a source lacks, and is said to.


def lacking(*names: str, **regs: int) -> Cpu:
    return Cpu({name: value for name, value in long_mode(**regs).items() if name not in names})


def test_only_what_is_lacking_is_assumed() -> None:
    assert lacking(pat=0).regime().assumed == ()
    assert lacking().regime().assumed == ("pat: as at reset (WB, WT, UC-, UC)",)
    assert paged(P).attributes().memory == "WB"
    assert lacking("maxphyaddr", pat=0).regime().assumed == (
        "maxphyaddr: 52, so that no address bit counts as reserved",
    )
    assert lacking("maxphyaddr", pat=0, cr4=0, efer=0).regime().assumed == (), "32-bit paging reserves by no width"
    keys = lacking(pat=0, cr4=PAE | PKE | PKS).regime().assumed
    assert keys == ("pkru: 0, which denies nothing", "pkrs: 0, which denies nothing")
    assert lacking(pat=0, cr4=PAE | PKE, pkru=0).regime().assumed == ()
    assert lacking(pat=0, cr4=PAE | PKE, efer=NXE).regime().assumed == (), "no keys outside of long mode"


@pytest.mark.parametrize("name", ["rip", "rsp", "cr2"])
def test_an_address_of_64_bits_shows_long_mode_where_efer_is_not_known(name: str) -> None:
    found = lacking("efer", pat=0, **{name: 1 << 32})
    assert found.regime().assumed == ("efer: LMA=1, which addresses of 64 bits show, and NXE=1",)
    assert len(found.regime().levels) == 4
    assert found.regime().controls.nx
    with pytest.raises(Unavailable):
        lacking("efer", **{name: (1 << 32) - 1}).regime()
    assert lacking("efer", pat=0, cr4=PSE, **{name: 0}).regime().assumed == (), "32-bit paging does not ask"


def test_paes_first_level_is_what_was_loaded_with_cr3_and_that_is_said() -> None:
    assert ["loaded with cr3" in each for each in paged_pae(P).regime().notes] == [True]
    assert paged(P).regime().notes == paged_32(P).regime().notes == ()


def test_controls_are_those_of_the_registers() -> None:
    regime = Cpu(long_mode(cr4=PAE | PGE | CET)).regime()
    assert isinstance(regime, Linear)
    assert (regime.global_pages, regime.controls.shadow_stacks, regime.controls.write_protect) == (True, True, True)
    plain = Cpu(long_mode(cr0=PG | PE, cr4=PAE | CET)).regime()
    assert isinstance(plain, Linear)
    assert (plain.global_pages, plain.controls.shadow_stacks, plain.controls.write_protect) == (False, False, False)
    with pytest.raises(UsageError, match="there are linear, npt, ept"):
        X86_64.regime_for(written_down(long_mode()), VA(0), "nosuch")
    assert X86_64.regime_for(written_down(long_mode()), VA(0), "linear") == Cpu(long_mode()).regime()


def test_a_value_alone_is_decoded_with_every_level_and_every_bit_there_may_be() -> None:
    regime = X86_64.bare_regime("4k", "linear", None)
    assert isinstance(regime, Linear)
    assert [level.number for level in regime.levels] == [5, 4, 3, 2, 1]
    assert (regime.output_last, regime.controls.nx, regime.controls.write_protect) == ((1 << 52) - 1, True, True)
    assert (regime.global_pages, regime.controls.smep, regime.controls.smap) == (True, False, False)


# --- Without paging.


@pytest.mark.parametrize(("cr0", "name"), [(PE, "no paging"), (0, "no paging (real mode)"), (PE | WP, "no paging")])
def test_without_paging_an_address_of_32_bits_is_its_own_and_may_be_all(cr0: int, name: str) -> None:
    cpu = Cpu(long_mode(cr0=cr0, cr4=0, efer=0))
    regime = cpu.regime()
    assert (regime.short_name, regime.own_name, regime.root_register) == (name, f"linear addresses, {name}", "cr0")
    assert (regime.first, regime.last, regime.output_last, regime.root) == (0, 0xFFFF_FFFF, 0xFFFF_FFFF, 0)
    assert cpu.outcome(0xFFFF_FFFF, "write", "user") == ("mapped", 0xFFFF_FFFF)
    assert cpu.cause(1 << 32) == "ADDRESS_TOO_LARGE cr0[31]=0"
    assert cpu.outcome(1 << 32) == ("fault", None)
    shown = cpu.attributes()
    assert cpu.rights() == ("rwx", "rwx")
    assert (shown.memory, shown.accessed, shown.dirty, shown.is_global) == ("WB", True, None, True)
    assert (shown.contiguous, shown.shareability) == (False, "")
    assert regime.stage == 1
