"""`fault` at a hypervisor: whose address it is, what the guest has there, and which registers are not this fault's."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdbtools.cli import main
from tests.arch.aarch64.truth.machine import EL1H, EL2H, S2_ROOT, Memory, el2, guest
from tests.commands.test_map import saved
from tests.commands.test_what_if import ask
from tests.device_trees import Node, flattened, node

DATA_LOWER, S1PTW, TRANSLATION_3, PERMISSION_3 = 0b100100 << 26, 1 << 7, 0b000111, 0b001111
TRANSLATION_1 = 0b000101
EVERYTHING = 0b1111 << 2 | 3 << 8 | 1 << 6 | 1 << 7 | 1 << 10
READ_ONLY = EVERYTHING & ~(1 << 7)
VMID, WNR = 3, 1 << 6
AT_ENTRY, ELSEWHERE = 0x400, 0x5000_0000
TREE_IPA, TREE_PA, PAGE_PA = 0x4060_0000, 0x4010_0000, 0x4020_0000
MEMORY_IPA, DEVICE_IPA, NOTHING_IPA = 0x4070_0000, 0x0301_0000, 0x0900_0000
TREE_BYTES = 8 << 20
"""How much memory it says: less than the machine has, and all that is mapped for the guest."""


def tree(size_bytes: int = TREE_BYTES) -> bytes:
    return flattened(_root(size_bytes))


def _root(size_bytes: int) -> Node:
    return node(
        "",
        node("memory@40000000", device_type="memory", reg=(0, 0x4000_0000, 0, size_bytes)),
        node("serial@3010000", compatible="arm,sbsa-uart", reg=(0, DEVICE_IPA, 0, 0x1000)),
        cells_address=2,
        cells_size=2,
    )


def with_tree(ipa: int, leaf: int | None = None, data: bytes | None = None) -> Memory:
    """Return a guest whose VA 0x5000 leads to an IPA, which is mapped by `leaf` or not at all, and its device tree."""
    memory = Memory()
    memory.stage1(EVERYTHING & ~(0xFF << 2), va=0x5000, output=ipa)
    memory.identity(EVERYTHING)
    memory.stage2(EVERYTHING, TREE_IPA, TREE_PA)
    if leaf is not None:
        memory.stage2(leaf, ipa, PAGE_PA)
    data = data or tree()
    for at in range(0, len(data), 8):
        memory.words[TREE_PA + at] = int.from_bytes(data[at : at + 8].ljust(8, b"\0"), "little")
    return memory


def words(memory: Memory, folder: Path, iss: int, **changes: int) -> list[str]:
    taken = {"ESR_EL2": DATA_LOWER | iss, "FAR_EL2": 0x5018, "ELR_EL2": 0x1000, "SPSR_EL2": EL1H, "VBAR_EL2": 0}
    loaded = {"VTTBR_EL2": S2_ROOT | VMID << 48, "cpsr": EL2H, "pc": AT_ENTRY}
    return saved(memory, folder, {**el2(), **guest(), **taken, **loaded, **changes})


def shown(capsys: pytest.CaptureFixture[str], given: list[str]) -> str:
    main(["fault", *given])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("ipa", "status", "cause", "said"),
    [
        (
            DEVICE_IPA,
            TRANSLATION_1,
            "device",
            "IPA 0x3010018 is the guest's device serial@3010000 (arm,sbsa-uart): left to be emulated",
        ),
        (
            MEMORY_IPA,
            TRANSLATION_3,
            "never populated",
            "IPA 0x40700018 is memory by the guest's device tree: never populated, or taken away",
        ),
        (NOTHING_IPA, TRANSLATION_1, "nothing", "the guest's device tree has nothing at IPA 0x9000018"),
    ],
)
def test_the_verdict_tells_what_the_guest_has_at_the_address(
    capsys, tmp_path: Path, ipa: int, status: int, cause: str, said: str
) -> None:
    given = words(with_tree(ipa), tmp_path, status, HPFAR_EL2=ipa >> 12 << 4)
    (answer,) = ask(capsys, "fault", *given, status=1)
    assert answer["verdict"] == "tables agree"
    assert answer["sentence"].endswith(f"the descriptor is not valid, and {said}.")
    assert (answer["second_stage"]["cause"], int(answer["second_stage"]["ipa"], 16)) == (cause, ipa + 0x18)
    assert int(answer["second_stage"]["device_tree"]["pa"], 16) == TREE_PA
    found = f"device tree at IPA {TREE_IPA:#x}, PA {TREE_PA:#x}: 1 device region and 8MB of memory"
    assert found in shown(capsys, given)
    assert answer["second_stage"]["device_tree"]["whose"] == "guest"


@pytest.mark.parametrize(
    ("ipa", "said"),
    [
        (DEVICE_IPA, "IPA 0x3010018 is serial@3010000 (arm,sbsa-uart) by {}: left to be emulated."),
        (MEMORY_IPA, "IPA 0x40700018 is memory by {}: never populated, or taken away."),
        (NOTHING_IPA, "{} has nothing at IPA 0x9000018."),
    ],
)
def test_a_tree_that_is_not_shown_to_be_the_guests_is_not_called_so(
    capsys, tmp_path: Path, ipa: int, said: str
) -> None:
    """It says as much memory as the machine has, of which most is not mapped for the guest."""
    status = TRANSLATION_3 if ipa == MEMORY_IPA else TRANSLATION_1
    given = words(with_tree(ipa, data=tree(1 << 30)), tmp_path, status, HPFAR_EL2=ipa >> 12 << 4)
    (answer,) = ask(capsys, "fault", *given, status=1)
    assert answer["sentence"].endswith(said.format("a device tree that is not shown to be the guest's"))
    assert "the guest's device" not in answer["sentence"]
    found = answer["second_stage"]["device_tree"]
    assert found["whose"] == "not shown"
    assert f"1 device region and 1GB of memory {found['why']}" in shown(capsys, given)


def test_a_soft_invalid_page_is_no_hole(capsys, tmp_path: Path) -> None:
    memory = with_tree(MEMORY_IPA, EVERYTHING)
    memory.words[memory.leaf_at(S2_ROOT, MEMORY_IPA)] &= ~1
    given = words(memory, tmp_path, TRANSLATION_3, HPFAR_EL2=MEMORY_IPA >> 12 << 4)
    (answer,) = ask(capsys, "fault", *given, status=1)
    assert answer["second_stage"] == {"cause": "soft invalid", "ipa": f"{MEMORY_IPA + 0x18:#018x}"}
    assert "soft-invalid" in answer["sentence"]


def test_a_permission_fault_leaves_hpfar_to_an_older_one_and_the_guests_tables_have_the_address(
    capsys, tmp_path: Path
) -> None:
    given = words(with_tree(MEMORY_IPA, READ_ONLY), tmp_path, PERMISSION_3 | WNR, HPFAR_EL2=0x1234_5000 >> 8)
    (answer,) = ask(capsys, "fault", *given, status=1)
    assert answer["verdict"] == "tables agree"
    assert answer["ipa"] is None
    assert answer["second_stage"]["cause"] == "permission"
    why = "HPFAR_EL2 is not of this fault: a permission fault leaves it UNKNOWN"
    assert answer["ipa_unknown"] == why
    text = shown(capsys, given)
    assert f"IPA {MEMORY_IPA + 0x18:#x}, as the guest's tables say now; {why}" in text
    assert "0x12345" not in text


def test_on_a_table_walk_a_permission_fault_has_its_ipa_and_an_external_abort_has_none(capsys, tmp_path: Path) -> None:
    memory = with_tree(MEMORY_IPA)
    table = memory.tables[next(iter(memory.tables))][1]
    memory.words[memory.leaf_at(S2_ROOT, table)] &= ~(1 << 6)
    given = words(memory, tmp_path, PERMISSION_3 | S1PTW, HPFAR_EL2=table >> 12 << 4)
    (answer,) = ask(capsys, "fault", *given, status=1)
    assert int(answer["ipa"], 16) == table
    assert "ipa_unknown" not in answer
    aborted = words(memory, tmp_path, 0b010110 | S1PTW, HPFAR_EL2=0x1234_5000 >> 8)
    (answer,) = ask(capsys, "fault", *aborted, status=1)
    assert answer["ipa"] is None
    assert answer["ipa_unknown"].endswith("an external abort on a stage 1 table walk leaves it UNKNOWN")
    assert "0x12345" not in shown(capsys, aborted)


def test_away_from_the_entry_nothing_shows_that_the_loaded_guest_is_the_one_that_faulted(
    capsys, tmp_path: Path
) -> None:
    memory = with_tree(DEVICE_IPA)
    for pc, is_said in ((AT_ENTRY, False), (ELSEWHERE, True)):
        given = words(memory, tmp_path, TRANSLATION_3, HPFAR_EL2=DEVICE_IPA >> 12 << 4, pc=pc)
        text = shown(capsys, given)
        assert ("VTTBR_EL2 (VMID 3) and HCR_EL2 are those of the last one loaded" in text) is is_said
        assert ("nothing shows that the fault was that one's" in text) is is_said


@pytest.mark.parametrize(("vmid", "is_said"), [(0, True), (3, False)])
def test_a_second_stage_of_vmid_0_need_not_be_a_guest_s(capsys, tmp_path: Path, vmid: int, is_said: bool) -> None:
    """Xen 4.20 loads an empty one while no guest runs, and a protected KVM has its own host under one."""
    loaded = {"VTTBR_EL2": S2_ROOT | vmid << 48, "pc": ELSEWHERE}
    given = words(with_tree(MEMORY_IPA), tmp_path, TRANSLATION_3, HPFAR_EL2=0, **loaded)
    main(["walk", hex(MEMORY_IPA), *given, "--regime", "stage2"])
    text = " ".join(capsys.readouterr().out.split())
    assert "HCR_EL2 are those of the last one loaded" in text
    assert ("VTTBR_EL2 (VMID 0, which need not be a guest's)" in text) is is_said
