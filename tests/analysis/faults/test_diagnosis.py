"""What the tables say of a fault: agree, permit, differ, or were never read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.model import Access, AccessKind
from gdbtools.errors import Unreadable
from tests.arch.aarch64.truth.machine import EL1H, EL2H, S1_ROOT, S2_ROOT, Memory, el2, guest
from tests.tables import Tables, reader

VA, PA = 0x1234_5000, 0x4200_0000
DATA_SAME, DATA_LOWER, WNR, S1PTW = 0b100101 << 26, 0b100100 << 26, 1 << 6, 1 << 7
TRANSLATION_3, ACCESS_FLAG_3, PERMISSION_3, PERMISSION_2 = 0b000111, 0b001011, 0b001111, 0b001110
ABORT_ON_WALK_2, ABORT_ON_WALK_3, ABORT, ALIGNMENT = 0b010110, 0b010111, 0b010000, 0b100001
READ_ONLY = 0b10


def found(t: Tables, iss: int, **changes: int) -> Diagnosis:
    return diagnose(ARM, reader(t.registers(**{"ESR_EL1": DATA_SAME | iss, "FAR_EL1": VA, **changes})), t.read)


@pytest.mark.parametrize(
    ("fields", "iss", "verdict"),
    [
        ({"AF": 0}, ACCESS_FLAG_3, Verdict.TABLES_AGREE),
        ({"AP": READ_ONLY}, PERMISSION_3 | WNR, Verdict.TABLES_AGREE),
        ({"TYPE": 0}, TRANSLATION_3, Verdict.TABLES_AGREE),
        ({}, TRANSLATION_3, Verdict.TABLES_PERMIT),
        ({}, PERMISSION_3 | WNR, Verdict.TABLES_PERMIT),
        # Present is not enough: the table still refuses the write, whatever the fault was.
        ({"AP": READ_ONLY}, TRANSLATION_3 | WNR, Verdict.TABLES_DIFFER),
        ({"AP": READ_ONLY}, TRANSLATION_3, Verdict.TABLES_PERMIT),
        # The same kind at another level is another fault.
        ({"AP": READ_ONLY}, PERMISSION_2 | WNR, Verdict.TABLES_DIFFER),
        ({"AF": 0}, PERMISSION_3 | WNR, Verdict.TABLES_DIFFER),
        ({}, ABORT, Verdict.ACCESS_ABORTED),
        ({}, ALIGNMENT, Verdict.NOT_THE_TABLES),
    ],
)
def test_presence_and_permission_both_count(fields: dict[str, int], iss: int, verdict: Verdict) -> None:
    t = Tables()
    t.map(VA, PA, **fields)
    assert found(t, iss).verdict is verdict


@pytest.mark.parametrize("bit", [40, 41, 42, 39, 43])
def test_a_refusal_by_a_rule_that_is_not_replayed_is_not_taken_for_spurious(bit: int) -> None:
    """GCS, TagAccess, TnD, AssuredOnly, HDBSSF."""
    t = Tables()
    t.map(VA, PA)
    assert found(t, PERMISSION_3 | 1 << bit).verdict is Verdict.NOT_REPLAYED
    t.map(VA, PA, AP=READ_ONLY)
    assert found(t, PERMISSION_3 | WNR | 1 << bit).verdict is Verdict.TABLES_AGREE


def test_an_abort_on_a_walk_names_the_descriptor_and_whether_memory_is_there() -> None:
    t = Tables()
    leaf = t.map(VA, PA)
    aborted = found(t, ABORT_ON_WALK_3)
    assert aborted.verdict is Verdict.WALK_ABORTED
    assert where(aborted) == (3, leaf, True, [0, 1, 2])
    # A level 2 table outside memory: its descriptor is where the fetch went.
    nowhere = 0x9000_0000
    level_1 = next(at for at, word in t.memory.items() if word >> 12 << 12 & 0xFFFF_FFFF_F000 == leaf >> 12 << 12)
    t.memory[level_1] = nowhere | 3
    index = (VA >> 12 & 0x1FF) * 8
    assert where(found(t, ABORT_ON_WALK_3)) == (3, nowhere + index, False, [0, 1, 2])


def test_an_abort_at_a_level_that_the_tables_no_longer_reach_says_so() -> None:
    assert where(found(Tables(), ABORT_ON_WALK_2)) == (2, None, True, [0])


def where(diagnosis: Diagnosis) -> tuple[int, int | None, bool, list[int]]:
    """Return the level and place of the descriptor that was not fetched, and the levels of those that were."""
    aborted = diagnosis.aborted
    assert aborted is not None
    return aborted.level, aborted.pa, aborted.readable, [step.level.number for step in aborted.so_far.steps]


def stage_2_fault(memory: Memory, iss: int, ipa: int) -> Diagnosis:
    registers = {
        **el2(), **guest(), "cpsr": EL2H, "VBAR_EL2": 0, "pc": 0x400, "ESR_EL2": DATA_LOWER | iss,
        "FAR_EL2": 0x5123, "ELR_EL2": 0x1000, "SPSR_EL2": EL1H, "HPFAR_EL2": ipa >> 12 << 4,
    }  # fmt: skip
    return diagnose(ARM, reader(registers), memory.read)


def test_the_ipa_of_a_stage_2_fault_is_held_against_what_the_guests_tables_say_now() -> None:
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    memory.identity(0b1111 << 2 | 1 << 6)
    memory.stage2(0, 0x6543_3000, 0x7000_0000)
    agreed = stage_2_fault(memory, TRANSLATION_3, 0x6543_2000)
    assert (agreed.verdict, agreed.exception.ipa, agreed.leads_to) == (Verdict.TABLES_AGREE, 0x6543_2000, 0x6543_2123)
    moved = stage_2_fault(memory, TRANSLATION_3, 0x1111_1000)
    assert (moved.exception.ipa, moved.leads_to) == (0x1111_1000, 0x6543_2123)


def test_the_ipa_of_a_fault_on_a_table_walk_is_that_of_the_descriptor() -> None:
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    of_table = stage_2_fault(memory, 0b000101 | S1PTW, memory.tables[next(iter(memory.tables))][0])
    assert of_table.verdict is Verdict.TABLES_AGREE
    assert of_table.walk is not None
    assert of_table.walk.fetch is not None
    assert of_table.leads_to == of_table.walk.fetch.via.input


def test_the_level_of_the_stage_1_lookup_is_taken_for_that_of_the_fault_as_qemu_7_reports_it() -> None:
    """The manual's is the level at which stage 2 refused, here 1; QEMU's that of the descriptor, here 0."""
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    table = memory.tables[next(iter(memory.tables))][0]
    assert stage_2_fault(memory, 0b000100 | S1PTW, table).verdict is Verdict.TABLES_AGREE
    assert stage_2_fault(memory, 0b000110 | S1PTW, table).verdict is Verdict.TABLES_DIFFER
    # Of no fault but one on a walk.
    memory.identity(0b1111 << 2 | 1 << 6)
    assert stage_2_fault(memory, 0b000110, 0x6543_2000).verdict is Verdict.TABLES_AGREE
    assert stage_2_fault(memory, 0b000100, 0x6543_2000).verdict is Verdict.TABLES_DIFFER


def two_stages(missing: Sequence[int]) -> tuple[Memory, Callable[[int, int], bytes]]:
    """A page through both stages, and how to read it with some of it missing."""
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    memory.identity(0b1111 << 2 | 1 << 6)
    memory.stage2(0, 0x6543_2000, 0x7000_0000)

    def read(pa: int, size_bytes: int) -> bytes:
        if pa in missing:
            raise Unreadable(pa, size_bytes, "nothing is there")
        return memory.read(pa, size_bytes)

    return memory, read


def test_an_abort_on_a_walk_of_two_stages_is_at_the_one_that_cannot_be_read_or_else_at_that_of_the_syndrome() -> None:
    memory, _ = two_stages(())
    first, second = memory.leaf_at(S1_ROOT, 0x5000), memory.leaf_at(S2_ROOT, 0x6543_2000)
    for missing, at_el1, at_el2 in (((), first, second), ((first,), first, first), ((second,), second, second)):
        _, read = two_stages(missing)
        own = {**guest(), "VBAR_EL1": 0, "pc": 0x200, "ESR_EL1": DATA_SAME | ABORT_ON_WALK_3, "FAR_EL1": 0x5123}
        taken_at_el1 = diagnose(ARM, reader({**own, "ELR_EL1": 0x1000, "SPSR_EL1": EL1H}), read)
        hypervisors = {**el2(), **guest(), "cpsr": EL2H, "VBAR_EL2": 0, "pc": 0x400, "FAR_EL2": 0x5123, "HPFAR_EL2": 0}
        syndrome = {"ESR_EL2": DATA_LOWER | ABORT_ON_WALK_3, "ELR_EL2": 0x1000, "SPSR_EL2": EL1H}
        taken_at_el2 = diagnose(ARM, reader({**hypervisors, **syndrome}), read)
        assert [where(each)[1] for each in (taken_at_el1, taken_at_el2)] == [at_el1, at_el2]


# --- What only the instruction tells


CODE_VA, CODE_PA = 0x5678_9000, 0x4300_0000
LDTR, LDR, STTR, STR = 0xF8400820, 0xF9400020, 0xF8000820, 0xF9000020
PAN, UAO = 1 << 22, 1 << 23


def accessed(instruction: int, iss: int, state: int = EL1H, **fields: int) -> Diagnosis:
    """Return a fault of an instruction of EL1's."""
    t = Tables()
    t.map(VA, PA, **fields)
    t.map(CODE_VA, CODE_PA)
    t.write(CODE_PA, instruction.to_bytes(8, "little"))
    return found(t, iss, ELR_EL1=CODE_VA, SPSR_EL1=state)


def test_an_unprivileged_load_is_refused_where_el0_is() -> None:
    refused = accessed(LDTR, PERMISSION_3)
    assert refused.verdict is Verdict.TABLES_AGREE
    assert refused.access == Access(AccessKind.READ, 1, unprivileged=True)
    assert refused.predicted is not None
    assert refused.predicted.decider.cause is VMSACause.PRIVILEGED_ONLY
    # Any other load might: so this fault is not of these tables.
    assert accessed(LDR, PERMISSION_3).verdict is Verdict.TABLES_PERMIT
    # PSTATE.UAO makes it one.
    overridden = accessed(LDTR, PERMISSION_3, EL1H | UAO)
    assert overridden.verdict is Verdict.TABLES_PERMIT
    assert overridden.access == Access(AccessKind.READ, 1), "and then it is as any other"


def test_privileged_access_never_is_no_matter_of_an_unprivileged_store() -> None:
    """As a kernel copies to a user's page that may only be read."""
    read_only_for_all = 0b11
    refused = accessed(STTR, PERMISSION_3 | WNR, EL1H | PAN, AP=read_only_for_all)
    assert refused.predicted is not None
    assert (refused.verdict, refused.predicted.decider.cause) == (Verdict.TABLES_AGREE, VMSACause.READ_ONLY)
    forgotten = accessed(STR, PERMISSION_3 | WNR, EL1H | PAN, AP=read_only_for_all)
    assert forgotten.predicted is not None
    assert forgotten.predicted.decider.cause is VMSACause.PRIVILEGED_ACCESS_NEVER


def test_an_instruction_that_cannot_be_read_counts_as_any_other() -> None:
    t = Tables()
    t.map(VA, PA)
    assert found(t, PERMISSION_3, ELR_EL1=0xDEAD_0000).verdict is Verdict.TABLES_PERMIT
    t.map(CODE_VA, 0x9000_0000)
    assert found(t, PERMISSION_3, ELR_EL1=CODE_VA).verdict is Verdict.TABLES_PERMIT


def test_where_many_are_repaired_an_instruction_is_looked_at_only_where_it_makes_a_difference() -> None:
    t = Tables()
    t.map(VA, PA, AP=READ_ONLY)
    t.map(CODE_VA, CODE_PA)
    reads: list[int] = []

    def read(pa: int, size_bytes: int) -> bytes:
        reads.append(pa)
        return t.read(pa, size_bytes)

    values = reader(t.registers(ESR_EL1=DATA_SAME | PERMISSION_3 | WNR, FAR_EL1=VA, ELR_EL1=CODE_VA))
    assert diagnose(ARM, values, read, ARM.regime_for).verdict is Verdict.TABLES_AGREE
    assert len(reads) == 4, "the walk of the address and nothing else"


def test_a_permission_fault_of_el1s_cache_maintenance_is_of_one_that_needs_to_write() -> None:
    """DC IVAC: no other fails for want of a permission above EL0."""
    cm = 1 << 8 | WNR
    t = Tables()
    t.map(VA, PA, AP=READ_ONLY)
    refused = found(t, PERMISSION_3 | cm)
    assert refused.verdict is Verdict.TABLES_AGREE
    assert refused.access == Access(AccessKind.INVALIDATION, 1)
    assert refused.predicted is not None
    assert refused.predicted.decider.cause is VMSACause.READ_ONLY
    t.map(VA, PA)
    assert found(t, PERMISSION_3 | cm).verdict is Verdict.TABLES_PERMIT
    # Of any other fault nobody knows which it was, and EL0 has no DC IVAC.
    t.map(VA, PA, AF=0)
    missed = found(t, ACCESS_FLAG_3 | cm)
    assert missed.access == Access(AccessKind.MAINTENANCE, 1)
    user = found(t, PERMISSION_3 | cm, ESR_EL1=DATA_LOWER | PERMISSION_3 | cm, SPSR_EL1=0, pc=0x8000_0400)
    assert user.access == Access(AccessKind.MAINTENANCE, 0)


def test_stage_2s_own_register_says_who_sets_its_access_flag() -> None:
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    memory.identity(0b1111 << 2 | 1 << 6)
    memory.stage2(0, 0x6543_2000, 0x7000_0000)
    leaf = memory.leaf_at(S2_ROOT, 0x6543_2000)
    memory.words[leaf] &= ~(1 << 10)
    refused = stage_2_fault(memory, ACCESS_FLAG_3, 0x6543_2000)
    assert refused.verdict is Verdict.TABLES_AGREE
    assert [(register, control.field.name) for register, control in refused.controls] == [
        ("VTCR_EL2", "HA"), ("ID_AA64MMFR1_EL1", "HAFDBS"),
    ]  # fmt: skip


CMOW, CIVAC, CVAC = 1 << 32, 0xD50B7E20, 0xD50B7A20
USER_READ_ONLY = 0b11
CM = 1 << 8 | WNR


def maintained(code_pa: int, instruction: int = 0) -> Diagnosis:
    """Return a permission fault of EL0's cache maintenance of a read-only page, with SCTLR_EL1.CMOW."""
    t = Tables()
    t.map(VA, PA, AP=USER_READ_ONLY)
    t.map(CODE_VA, code_pa)
    if instruction:
        t.write(code_pa, instruction.to_bytes(8, "little"))
    values = t.registers(
        ESR_EL1=DATA_LOWER | PERMISSION_3 | CM, FAR_EL1=VA, ELR_EL1=CODE_VA, SPSR_EL1=0, pc=0x8000_0400,
        SCTLR_EL1=t.registers()["SCTLR_EL1"] | CMOW, ID_AA64MMFR1_EL1=1 << 56,
    )  # fmt: skip
    return diagnose(ARM, reader(values), t.read)


def test_the_instruction_says_whether_cache_maintenance_had_to_write() -> None:
    refused = maintained(CODE_PA, CIVAC)
    assert (refused.verdict, refused.inferred) == (Verdict.TABLES_AGREE, False)
    assert refused.access == Access(AccessKind.CLEAN_INVALIDATION, 0)
    assert refused.predicted is not None
    assert refused.predicted.decider.cause is VMSACause.MAINTENANCE_WITHOUT_WRITE
    assert maintained(CODE_PA, CVAC).verdict is Verdict.TABLES_PERMIT


def test_where_the_instruction_cannot_be_read_the_refusal_says_which_maintenance_it_was() -> None:
    refused = maintained(0x9000_0000)
    assert (refused.verdict, refused.inferred) == (Verdict.TABLES_AGREE, True)


def test_a_refused_fetch_from_device_memory_is_no_stale_entry() -> None:
    t = Tables()
    t.map(VA, PA, AttrIndx=3)
    refused = found(t, 0, ESR_EL1=0b100001 << 26 | PERMISSION_3, ELR_EL1=VA)
    assert refused.verdict is Verdict.TABLES_AGREE
    assert refused.predicted is not None
    assert refused.predicted.decider.cause is VMSACause.DEVICE_FETCH
    # A load that was refused had another reason.
    assert found(t, PERMISSION_3).verdict is Verdict.TABLES_PERMIT
