"""Roots in images that are known to the last bit: every geometry, what is near to being one, and what is none."""

from __future__ import annotations

import random

import pytest

from gdbtools.analysis.roots.choice import choose
from gdbtools.analysis.roots.evidence import Sign, Standing
from gdbtools.analysis.roots.holders import Holder
from gdbtools.analysis.roots.search import Search
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.table_heuristics import Owner
from gdbtools.errors import Unreadable
from tests.images import ARM, BASE, CODE, KERNEL, PAGE, USER, Image, kernel, process, shown
from tests.tables import Tables

MEGA = 1 << 20
# granule, TnSZ, and how many entries of the root there are
GEOMETRIES = [(12, 16), (12, 25), (12, 12), (14, 17), (14, 16), (14, 12), (16, 16), (16, 12), (16, 22)]
ROOT, TABLES = BASE + 4 * MEGA, BASE + 5 * MEGA
THEIRS, PROCESSES = BASE + 9 * MEGA, BASE + 15 * MEGA


def signs(found) -> dict[Sign, tuple[int, int]]:
    return {one.sign: (one.count, one.total) for one in found.evidence}


@pytest.mark.parametrize(("granule_bits", "TnSZ"), GEOMETRIES)
def test_a_kernel_is_found_first_with_its_granule_and_its_size(granule_bits: int, TnSZ: int) -> None:
    image = Image(32 * MEGA if granule_bits == 16 else 16 * MEGA)
    image.fill(BASE + CODE + MEGA, MEGA)
    tables = kernel(image, granule_bits, TnSZ, ROOT, TABLES)
    best = image.search().found[0]
    assert shown(best) == (ROOT, "TTBR1_EL1", granule_bits, 64 - TnSZ)
    assert (best.owner, best.likely) == (Owner.KERNEL, True)
    regime = ARM.table_heuristics.regime(best.place)
    assert [level.number for level in regime.levels] == [level.number for level in tables.levels]
    assert (regime.root, regime.first) == (ROOT, (1 << 64) - (1 << 64 - TnSZ))
    assert signs(best)[Sign.POINTERS][0] > 30


@pytest.mark.parametrize(("granule_bits", "TnSZ"), GEOMETRIES)
def test_its_processes_have_its_size_also_where_their_roots_share_a_page_with_other_data(
    granule_bits: int, TnSZ: int
) -> None:
    image = Image(32 * MEGA if granule_bits == 16 else 16 * MEGA)
    kernel(image, granule_bits, TnSZ, ROOT, TABLES)
    root_bytes = 8 * Tables(granule_bits, TnSZ).levels[0].entries
    wanted = []
    for number in range(3):
        root = PROCESSES + 2 * number * max(root_bytes, 64)
        process(image, granule_bits, TnSZ, root, THEIRS + number * (MEGA if granule_bits == 16 else MEGA // 4))
        wanted.append((root, "TTBR0_EL1", granule_bits, 64 - TnSZ))
        if root_bytes < 1 << granule_bits:
            # A free object's link to the next, as hardened allocators write it.
            image.put(root + root_bytes + root_bytes // 2, [0x9E37_79B9_7F4A_7C15])
    ranking = image.search()
    assert sorted(shown(each) for each in ranking.found[1:]) == wanted
    assert {each.owner for each in ranking.found[1:]} == {Owner.USER}
    assert [shown(each)[0] for each in choose(ranking.found)] == [ROOT], "no process is more likely than the others"


def test_a_small_root_of_which_an_entry_leads_to_no_table_is_none() -> None:
    image = Image()
    kernel(image, 12, 12, ROOT, TABLES)
    for number in range(2):
        process(image, 12, 12, PROCESSES + number * 0x100, THEIRS + number * MEGA // 4)
        image.put(PROCESSES + number * 0x100 + 0x80, [0x9E37_79B9_7F4A_7C15])
    image.put(PROCESSES + 5 * 8, [BASE + CODE | 3])
    image.fill(BASE + CODE, PAGE)
    found = [shown(each) for each in image.search().found]
    assert (PROCESSES + 0x100, "TTBR0_EL1", 12, 52) in found
    assert PROCESSES not in [root for root, *_ in found]


def test_tables_of_one_granule_are_none_of_another() -> None:
    """All addresses that 64KB tables hold are good for 4KB, too."""
    for granule_bits, TnSZ in ((16, 16), (14, 17)):
        image = Image(32 * MEGA if granule_bits == 16 else 16 * MEGA)
        kernel(image, granule_bits, TnSZ, ROOT, TABLES)
        assert {each.place.form.granule_bits for each in image.search().found} == {granule_bits}


def identity(image: Image, leaves: int = 300) -> Tables:
    tables = Tables(root=ROOT, _next=TABLES)
    for page in range(leaves):
        tables.map(BASE + page * PAGE, BASE + page * PAGE, SH=3)
    return image.add(tables)


def test_bare_metal_at_its_own_addresses_is_of_the_lower_half() -> None:
    image = Image()
    identity(image)
    [found] = image.search().found
    assert shown(found) == (ROOT, "TTBR0_EL1", 12, 48)
    assert signs(found)[Sign.IDENTITY] == (300, 300)


def test_a_few_pointers_above_what_maps_itself_are_of_an_alias() -> None:
    image = Image()
    identity(image)
    image.point([0xFFFF_8000_4000_0000, 0xFFFF_8000_4000_2000])
    [found] = image.search().found
    assert found.place.register == "TTBR0_EL1"


def test_a_linear_map_of_memory_that_begins_at_0_is_no_identity() -> None:
    """Its offsets in the upper half are physical addresses."""
    image = Image()
    tables = Tables(root=ROOT, _next=TABLES)
    first = 0xFFFF << 48
    for page in range(300):
        tables.map(first + BASE + page * PAGE, BASE + page * PAGE, **KERNEL)
    image.add(tables)
    image.point(first + BASE + page * PAGE for page in range(100))
    [found] = image.search().found
    assert shown(found) == (ROOT, "TTBR1_EL1", 12, 48)


@pytest.mark.parametrize(
    ("granule_bits", "level", "TnSZ", "size"),
    [(12, 1, 25, 1 << 30), (12, 2, 34, 2 * MEGA), (14, 2, 28, 32 * MEGA), (16, 2, 22, 512 * MEGA)],
)
def test_a_root_of_blocks_alone_is_read_at_the_level_where_they_go_on(
    granule_bits: int, level: int, TnSZ: int, size: int
) -> None:
    image = Image()
    tables = Tables(granule_bits, TnSZ, root=ROOT, _next=TABLES)
    first = BASE & -size
    for block in range(4):
        tables.map((first + block * size) % (1 << 64 - TnSZ), first + block * size, level, SH=3)
    image.add(tables)
    [found] = image.search().found
    assert shown(found)[:3] == (ROOT, "TTBR0_EL1", granule_bits)
    assert ARM.table_heuristics.regime(found.place).levels[0].number == level
    assert [run.leaf_bytes for run in found.tree.runs] == [size]


def test_a_block_that_is_aligned_to_more_than_its_size_is_read_at_its_own_level() -> None:
    """One of 2MB at the beginning of memory could as well be one of 1GB, one level up; but then it maps another."""
    image = Image()
    # Where a table of 16KB or 64KB cannot be: so few entries would fit those as well.
    tables = Tables(TnSZ=25, root=ROOT, _next=TABLES + PAGE)
    tables.map(BASE, BASE, 2, SH=3)
    image.add(tables)
    [found] = image.search().found
    assert shown(found) == (ROOT, "TTBR0_EL1", 12, 39)
    assert signs(found)[Sign.IDENTITY] == (1, 1)


def virtual_machine(root: int, at: int, TnSZ: int = 25) -> Tables:
    tables = Tables(TnSZ=TnSZ, root=root, _next=at)
    for page in range(300):
        put = tables.map(page * PAGE, BASE + CODE + page * PAGE, SH=3)
        # S2AP and MemAttr where stage 1 has AP, NS and AttrIndx.
        tables.memory[put] = int(tables.memory[put]) | 0b11 << 6 | 0b1111 << 2
    return tables


def test_a_virtual_machines_memory_is_stage_2() -> None:
    image = Image()
    image.add(virtual_machine(ROOT, TABLES))
    [found] = image.search().found
    assert shown(found) == (ROOT, "VTTBR_EL2", 12, 39)
    assert found.owner is Owner.VIRTUAL_MACHINE
    regime = ARM.table_heuristics.regime(found.place)
    assert (regime.stage, regime.root, regime.levels[0].number) == (2, ROOT, 1)


def test_tables_side_by_side_make_one_root_of_stage_2() -> None:
    image = Image()
    image.add(virtual_machine(ROOT, TABLES))
    image.put(ROOT + PAGE, [(0x80 << 32) + (block << 30) | 0x7FD for block in range(512)])
    [found] = image.search().found
    assert shown(found) == (ROOT, "VTTBR_EL2", 12, 40)
    assert found.tree.at((1 << 39) + 5) is not None


def test_what_only_a_single_level_would_write_is_a_hypervisors() -> None:
    image = Image()
    tables = Tables(root=ROOT, _next=TABLES)
    for page in range(300):
        tables.map(0x20_0000 + page * PAGE, BASE + CODE + page * PAGE, SH=3, AP=0b11 if page < 40 else 0b01)
    image.add(tables)
    [found] = image.search().found
    assert shown(found) == (ROOT, "TTBR0_EL2", 12, 48)
    assert ARM.table_heuristics.registers([found.place]).values["cpsr"] == 0b1001


def test_a_page_that_maps_the_root_is_no_root_above_it() -> None:
    image = Image()
    kernel(image, 12, 25, ROOT, TABLES)
    image.put(PROCESSES, [ROOT | 0x703])
    assert [shown(each) for each in image.search().found] == [(ROOT, "TTBR1_EL1", 12, 39)]


def test_a_root_that_maps_itself_is_still_one() -> None:
    image = Image()
    tables = kernel(image, 12, 16, ROOT, TABLES)
    image.put(ROOT + 200 * 8, [ROOT | 0b11])
    best = image.search().found[0]
    assert shown(best) == (ROOT, "TTBR1_EL1", 12, 48)
    assert best.tree.tables == 1 + len({each & -PAGE for each in tables.memory} - {ROOT})


def test_entries_that_lead_to_empty_tables_lead_to_tables() -> None:
    image = Image()
    tables = kernel(image, 12, 16, ROOT, TABLES)
    # In the table of level 1, beside the one that is used.
    (level1,) = {int(word) & 0xFFFF_F000 for at, word in tables.memory.items() if at == ROOT}
    image.put(level1 + 8 * 8, [PROCESSES + page * PAGE | 0b11 for page in (9, 3, 12, 5, 30, 7, 1, 16)])
    assert shown(image.search().found[0]) == (ROOT, "TTBR1_EL1", 12, 48)


def test_memory_that_was_read_while_it_changed_is_no_reason_against() -> None:
    image = Image()
    kernel(image, 12, 25, ROOT, TABLES)
    # One of some tables that level 2 leads to is something else by now.
    (level2,) = {int.from_bytes(image.read(ROOT, 8), "little") & 0xFFFF_F000}
    gone = int.from_bytes(image.read(level2 + 8, 8), "little") & 0xFFFF_F000
    for at in range(8, 40):
        image.put(level2 + at * 8, [int.from_bytes(image.read(level2, 8), "little")])
    image.fill(gone, PAGE)
    assert shown(image.search().found[0]) == (ROOT, "TTBR1_EL1", 12, 39)


def test_where_a_cpu_stood_tells_its_process_from_the_others() -> None:
    image = Image()
    kernel(image, 12, 16, ROOT, TABLES)
    for number in range(3):
        process(image, 12, 16, PROCESSES + number * PAGE, THEIRS + number * MEGA // 4)
    tables = Tables(root=PROCESSES + 7 * PAGE, _next=THEIRS + 3 * MEGA // 4)
    tables.map(0x7000_0000, BASE + CODE, **USER)
    tables.map(0x7FFF_0000, BASE + CODE + PAGE, **USER, UXN=1)
    image.add(tables)
    found = image.search([Standing(0, LEVELS[0], 0x7000_0010, 0x7FFF_1000)]).found
    assert [shown(each)[:2] for each in choose(found)] == [(ROOT, "TTBR1_EL1"), (tables.root, "TTBR0_EL1")]
    [its] = [each for each in found if each.place.root == tables.root]
    assert signs(its)[Sign.RUNNING] == signs(its)[Sign.STACK] == (1, 1)
    # The stack may not be executed, so a pc there is nobody's.
    lost = image.search([Standing(0, LEVELS[0], 0x7FFF_0010, 0x7FFF_1000)]).found
    assert [shown(each)[0] for each in choose(lost)] == [ROOT]


def test_of_processes_that_all_map_where_a_cpu_stood_only_one_with_its_stack_is_its() -> None:
    """Programs of one file have their code at one address, and their stacks at any."""
    image = Image()
    kernel(image, 12, 16, ROOT, TABLES)
    for number, stack in enumerate((0x7FFF_0000, 0x7FF0_0000, 0x7F00_0000)):
        tables = Tables(root=PROCESSES + number * PAGE, _next=THEIRS + number * MEGA // 4)
        tables.map(0x40_0000, BASE + CODE, **USER)
        tables.map(stack, BASE + CODE + (number + 1) * PAGE, **USER, UXN=1)
        image.add(tables)
    its = image.search([Standing(0, LEVELS[0], 0x40_0010, 0x7FF0_0800)]).found
    assert [shown(each)[0] for each in choose(its)] == [ROOT, PROCESSES + PAGE]
    nobodys = image.search([Standing(0, LEVELS[0], 0x40_0010, 0x6000_0000)]).found
    assert [shown(each)[0] for each in choose(nobodys)] == [ROOT]


def test_an_identity_map_beside_a_kernel_is_only_for_its_beginning() -> None:
    image = Image()
    kernel(image, 12, 16, ROOT, TABLES)
    tables = Tables(root=PROCESSES, _next=THEIRS)
    for page in range(image.size_bytes // PAGE):
        tables.map(BASE + page * PAGE, BASE + page * PAGE, SH=3)
    image.add(tables)
    found = image.search().found
    assert [(shown(each)[:2], each.likely) for each in found] == [
        ((ROOT, "TTBR1_EL1"), True),
        ((PROCESSES, "TTBR0_EL1"), True),
    ]
    assert [shown(each)[0] for each in choose(found)] == [ROOT]
    assert [shown(each)[0] for each in choose(found, [PROCESSES])] == [ROOT, PROCESSES]


def test_a_root_that_does_not_map_the_kernels_pc_is_not_the_kernels() -> None:
    image = Image()
    kernel(image, 12, 16, ROOT, TABLES)
    found = image.search([Standing(0, LEVELS[1], 0xFFFF_4000_0000_0000, None)]).found
    assert Sign.LOST in signs(found[0])
    assert found[0].score == image.search().found[0].score - 15


def test_at_el2_the_tables_of_a_kernel_and_its_processes_are_of_a_host() -> None:
    image = Image()
    kernel(image, 12, 16, ROOT, TABLES)
    process(image, 12, 16, PROCESSES, THEIRS)
    cpu = Standing(0, LEVELS[2], (0xFFFF << 48) + 0x100, (0xFFFF << 48) + 0x8000)
    found = image.search([cpu]).found
    assert [each.place.register for each in found] == ["TTBR1_EL2", "TTBR0_EL2"]
    values = ARM.table_heuristics.registers([found[0].place]).values
    assert values["TTBR1_EL2"] == ROOT
    assert values["HCR_EL2"] == 1 << 34 | 1 << 27


def test_what_the_source_names_is_first() -> None:
    image = Image()
    kernel(image, 12, 16, ROOT, TABLES)
    process(image, 12, 16, PROCESSES, THEIRS)
    found = image.search(named={PROCESSES: Sign.NAMED}).found
    assert Sign.NAMED in signs(next(each for each in found if each.place.root == PROCESSES))


def test_a_size_that_the_source_names_is_believed() -> None:
    image = Image()
    tables = Tables(TnSZ=20, root=ROOT, _next=TABLES)
    for page in range(64):
        tables.map((1 << 64) - (1 << 44) + page * PAGE, BASE + page * PAGE, **KERNEL)
    image.add(tables)
    assert image.search().found[0].place.input_bits == 48, "nothing says otherwise"
    assert image.search(sizes={ROOT: 44}).found[0].place.input_bits == 44


# What goes together

GUESTS, OTHERS = BASE + 20 * MEGA, BASE + 22 * MEGA


def two_machines() -> tuple[Image, Tables, Tables]:
    """Return an image with a kernel, the virtual machine that it runs in, and another that maps more."""
    image = Image(32 * MEGA)
    kernel(image, 12, 16, ROOT, TABLES)
    own, other = (Tables(TnSZ=25, root=root, _next=root + PAGE) for root in (GUESTS, OTHERS))
    for page in range(64):
        own.map(page * PAGE, ROOT + page * PAGE, SH=3)
    for page in range(2048):
        other.map(BASE + page * PAGE, BASE + 24 * MEGA + page * PAGE, SH=3)
    for tables in (own, other):
        for at, word in tables.memory.items():
            if word >> 10 & 1:
                tables.memory[at] = int(word) | 0b11 << 6 | 0b1111 << 2
        image.add(tables)
    return image, own, other


def chosen(image: Image, **names: dict[int, Sign]) -> dict[str, int]:
    return {each.place.register: each.place.root for each in choose(image.search(**names).found)}


def test_a_kernel_is_chosen_with_the_virtual_machine_that_it_runs_in_and_with_no_other() -> None:
    image, own, other = two_machines()
    ranked = [each.place.root for each in image.search().found]
    assert ranked.index(other.root) < ranked.index(own.root), "by itself the other has more to say for it"
    named = {own.root: Sign.NAMED, other.root: Sign.NAMED}
    assert chosen(image, named=named) == {"TTBR1_EL1": ROOT, "VTTBR_EL2": own.root}


def test_the_virtual_machine_that_a_register_holds_is_chosen_without_another_ones_kernel() -> None:
    image, own, other = two_machines()
    assert chosen(image, named={other.root: Sign.HELD}) == {"VTTBR_EL2": other.root}
    assert chosen(image, named={own.root: Sign.HELD}) == {"TTBR1_EL1": ROOT, "VTTBR_EL2": own.root}


def test_what_leads_to_no_memory_is_not_chosen_whatever_holds_it() -> None:
    image = Image()
    kernel(image, 12, 16, ROOT, TABLES)
    nowhere = image.add(Tables(root=PROCESSES, _next=PROCESSES + PAGE))
    nowhere.map(0x40_0000, 0x900_0000, **USER)
    image.add(nowhere)
    held = {PROCESSES: Sign.HELD, ROOT: Sign.HELD}
    found = next(each for each in image.search(named=held).found if each.place.root == PROCESSES)
    assert signs(found)[Sign.IN_MEMORY] == (0, 1)
    assert chosen(image, named=held) == {"TTBR1_EL1": ROOT}


def test_where_little_but_tables_is_there_a_held_root_that_leads_to_nothing_of_it_is_chosen() -> None:
    """As in a capture: what a process maps is not in it, and that says nothing of the process's tables."""
    image = Image()
    tables = Tables(root=ROOT, _next=TABLES)
    for page in range(64):
        tables.map((1 << 64) - (1 << 40) + page * PAGE, 0x900_0000 + page * PAGE, **KERNEL)
    image.add(tables)
    nowhere = image.add(Tables(root=PROCESSES, _next=PROCESSES + PAGE))
    nowhere.map(0x40_0000, 0x900_0000, **USER)
    image.add(nowhere)
    held = [Holder("TTBR1_EL1", ROOT, 12, 3, 48), Holder("TTBR0_EL1", PROCESSES, 12, 3, 48)]
    ranking = image.search(holders=held)
    assert {each.place.register: each.place.root for each in choose(ranking.found)} == {
        "TTBR1_EL1": ROOT,
        "TTBR0_EL1": PROCESSES,
    }


# What is no root


def test_nothing_is_found_in_zeros_and_in_noise() -> None:
    assert image_of(bytes(8 * MEGA)).search().found == ()
    assert image_of(random.Random(5).randbytes(8 * MEGA)).search().found == ()


def image_of(data: bytes) -> Image:
    image = Image(len(data))
    image.data[:] = data
    return image


def test_a_few_numbers_that_look_like_entries_are_never_likely() -> None:
    drawn = random.Random(6)
    image = Image(8 * MEGA)
    pages = image.size_bytes // PAGE
    for page in range(pages):
        for _ in range(drawn.randrange(1, 6)):
            word = (BASE + drawn.randrange(pages) * PAGE) | drawn.choice((1, 3, 0x403, 0x743, 0x701))
            image.put(BASE + page * PAGE + 8 * drawn.randrange(512), [word])
    found = image.search().found
    assert not [each for each in found if each.likely]


def test_a_root_that_leads_to_one_page_everywhere_is_dismissed_and_said_so() -> None:
    image = Image()
    for level in range(3):
        image.put(ROOT + level * PAGE, [ROOT + (level + 1) * PAGE | 3] * 512)
    image.put(ROOT + 3 * PAGE, [BASE + CODE | 0x743] * 512)
    ranking = image.search()
    assert ranking.found == ()
    [dismissed] = ranking.dismissed
    assert (dismissed.place.root, signs(dismissed)[Sign.ONE_PLACE]) == (ROOT, (1 << 36, 1 << 36))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_tables_that_lead_to_each_other_alone_are_no_roots(size: int) -> None:
    image = Image()
    for table in range(size):
        image.put(ROOT + table * PAGE, [ROOT + (table + 1) % size * PAGE | 3] * 512)
    assert image.search().found == ()


@pytest.mark.slow
def test_tables_that_branch_without_end_are_dismissed_before_long() -> None:
    """2^36 leaves of which no two adjoin, ten times."""
    drawn = random.Random(1)
    image = Image()
    for root in range(ROOT, ROOT + 40 * PAGE, 4 * PAGE):
        for level in range(3):
            image.put(root + level * PAGE, [root + (level + 1) * PAGE | 3] * 512)
        image.put(root + 3 * PAGE, [BASE + drawn.randrange(4096) * PAGE | 0x743 for _ in range(512)])
    # Without a limit it would be years.
    ranking = image.search()
    assert not [each for each in ranking.found if each.likely]
    assert {Sign.ENDLESS} <= set(signs(ranking.dismissed[0]))


def test_a_search_can_be_left_at_any_moment_and_then_ranks_what_it_has_seen() -> None:
    image = Image()
    kernel(image, 12, 16, ROOT, TABLES)
    search = Search(ARM, image.read, [(BASE, image.size_bytes)], [(BASE, image.size_bytes)])
    assert search.rank().found == ()
    seen = []
    for surveyed in search.look():
        seen.append((surveyed.examined_bytes, surveyed.total_bytes))
        if surveyed.examined_bytes >= 8 * MEGA:
            break
    assert seen[0] == (0, 16 * MEGA)
    assert seen == sorted(seen)
    assert shown(search.rank().found[0])[0] == ROOT


def test_memory_that_cannot_be_read_is_counted_and_the_rest_is_looked_at() -> None:
    image = Image()
    kernel(image, 12, 16, ROOT, TABLES)
    gone = range(BASE + MEGA, BASE + 3 * MEGA // 2)

    def read(pa: int, size_bytes: int) -> bytes:
        if pa < gone.stop and gone.start < pa + size_bytes:
            raise Unreadable(pa, size_bytes, "it was left out")
        return image.read(pa, size_bytes)

    search = Search(ARM, read, [(BASE, image.size_bytes)], [(BASE, image.size_bytes)])
    for _ in search.look():
        pass
    assert search.surveyed.unreadable_bytes == MEGA // 2
    assert search.surveyed.examined_bytes == 16 * MEGA
    assert shown(search.rank().found[0])[0] == ROOT


def test_what_a_linux_kernel_wrote_of_itself_is_found_at_the_beginning_of_a_page_only() -> None:
    image = Image()
    text = b"OSRELEASE=6.1.0\nPAGESIZE=4096\n"
    for pa in (BASE + MEGA, BASE + 2 * MEGA + 8):
        image.data[pa - BASE : pa - BASE + len(text)] = text
    search = Search(ARM, image.read, [(BASE, image.size_bytes)], [(BASE, image.size_bytes)])
    for _ in search.look():
        pass
    [note] = search.surveyed.notes
    assert note.pa == BASE + MEGA
    assert note.text.startswith(text)
