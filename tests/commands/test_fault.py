"""`fault`: its sentence, and how what is suspected is worded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gdbtools.analysis.faults.descriptor_history import Sighting
from gdbtools.analysis.faults.spurious_causes import SeenChange, SpuriousCause, Suspicion, Weight
from gdbtools.analysis.faults.writer import Writer
from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from gdbtools.arch.instruction_effects import Effect, EffectKind
from gdbtools.arch.walk import walk
from gdbtools.cli import main
from gdbtools.commands.fault.suspicion import briefly, suspicion_rows
from gdbtools.repl.session import Doing, state_of
from tests.arch.aarch64.truth.machine import EL1H, EL2H, Memory, el2, guest
from tests.commands.test_map import saved
from tests.commands.test_what_if import CRASH, OSV, ask
from tests.places import ROOT
from tests.tables import Tables, reader

VA, PA = 0x1234_5000, 0x4800_0000
WORDS = ARM.exceptions.effect_words
DATA_SAME, TRANSLATION_3, ABORT, ABORT_ON_WALK_3 = 0b100101 << 26, 0b000111, 0b010000, 0b010111
ACCESS_FLAG_3 = 0b001011


def sentence(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    return str(ask(capsys, "fault", *words, status=1)[0]["sentence"])


def test_a_clear_flag_that_hardware_was_told_to_set_is_neither_denied_nor_spurious(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = ("--with", "TCR_EL1.HA=1", "--with", "ID_AA64MMFR1_EL1.HAFDBS=1")
    (answer,) = ask(capsys, "fault", "-s", OSV, *told, status=1)
    assert answer["sentence"] == (
        f"last exception: EL1 execute of {CRASH}: access flag fault, level 3, "
        "but the tables leave the access flag to hardware."
    )
    assert answer["verdict"] == "left to hardware"
    assert answer["suspicions"] == []
    assert [int(each["value"], 16) for each in answer["hardware"]] == [1, 1]


@pytest.mark.parametrize(
    ("iss", "said"),
    [
        (ABORT_ON_WALK_3, "external abort, level 3 on the table walk: memory answers now at PA 0x40103a28, where the"),
        (ABORT, "external abort: not a matter of the translation tables."),
    ],
)
def test_of_a_dump_nobody_knows_what_answered(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, iss: int, said: str
) -> None:
    t = Tables(_next=0x4010_1000)
    t.map(VA, PA)
    source = saved(t, tmp_path, t.registers(ESR_EL1=DATA_SAME | iss, FAR_EL1=VA))
    assert said in sentence(capsys, *source)


def test_at_no_vector_entry_tables_that_say_another_fault_may_be_of_another_exception(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    t = Tables(_next=0x4010_1000)
    t.map(VA, PA, AF=0)
    for pc, other in ((0x8000_0200, False), (0x4444, True)):
        source = saved(t, tmp_path, t.registers(ESR_EL1=DATA_SAME | TRANSLATION_3, FAR_EL1=VA, pc=pc))
        assert "the tables say access flag fault, level 3" in sentence(capsys, *source)
        main(["fault", *source])
        assert ("of another exception" in " ".join(capsys.readouterr().out.split())) == other


def stale(tmp_path: Path, **changes: int) -> list[str]:
    """Return the options for a source whose syndrome is of an access-flag fault, and whose ELR is at an SVC."""
    t = Tables(_next=0x4010_1000)
    t.map(VA, PA, AF=0)
    t.map(0x40_0000, 0x4200_0000)
    t.write(0x4200_0000, (0xD400_0001).to_bytes(8, "little"))
    values = {"ESR_EL1": DATA_SAME | ACCESS_FLAG_3, "FAR_EL1": VA, "ELR_EL1": 0x40_0000, "pc": 0x4444, **changes}
    return saved(t, tmp_path, t.registers(**values))


def test_what_is_not_of_one_exception_is_said_and_not_joined(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source = stale(tmp_path)
    main(["fault", *source])
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(f"last exception: read of {VA:#x}: access flag fault, level 3, but ELR_EL1 and SPSR_EL1 are")
    assert "at ELR_EL1 0x400000 is SVC #0x0, no load." in said
    assert "returns to" not in said
    assert "came from" not in said
    assert "mmu fixup" not in said
    assert "deciding bit" not in said, "of a fault that nobody can replay"
    assert "the tables now refuse by access flag fault, level 3: AF [10] = 0" in said
    (answer,) = ask(capsys, "fault", *source, status=1)
    assert (answer["verdict"], answer["current"]) == ("not one exception", False)
    assert answer["evidence"]["kind"] == "contradicts"
    assert answer["access"] is None


def test_at_an_interrupt_the_older_exception_stands_apart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = stale(tmp_path, pc=0x8000_0280)
    (answer,) = ask(capsys, "fault", *source, status=0)
    assert answer["sentence"] == "interrupt: IRQ taken from EL1, before 0x400000; it has no syndrome."
    assert (answer["verdict"], answer["vector_entry"]) == ("interrupt", "current EL, SP_ELx, IRQ")
    assert (answer["current"], answer["walk"]) == (False, None)
    main(["fault", *source])
    said = " ".join(capsys.readouterr().out.split())
    assert "older ESR_EL1 0x9400000b" in said
    assert "returns to" not in said


def test_a_syndrome_that_is_decoded_from_registers_says_whether_it_is_the_current_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for changes, whose, elr in (
        ({"pc": 0x8000_0200}, "", "the instruction that raised it"),
        ({}, "last exception: ", "not of this exception: at ELR_EL1 0x400000 is SVC #0x0, no load"),
        ({"pc": 0x8000_0280}, "older exception: ", "not of this exception, but of the IRQ that was taken after it"),
    ):
        source = stale(tmp_path, **changes)
        main(["esr", *source])
        said = " ".join(capsys.readouterr().out.split())
        assert said.startswith(f"0x9400000b: {whose}Data Abort from the same")
        assert f"ELR_EL1 {elr}" in said
        assert ask(capsys, "esr", *source)[0]["current"] is not bool(whose)


def test_every_face_says_that_an_exception_is_the_last_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = stale(tmp_path)
    (status,), (fault,) = ask(capsys, "status", *source), ask(capsys, "fault", *source, status=1)
    assert state_of(Doing.STOPPED, ARM, status, fault, "").verdict.startswith("last exception: ")
    (report,) = ask(capsys, "report", *source, status=1)
    assert report["fault"]["sentence"].startswith("last exception: ")
    assert main(["report", *source, "--html"]) == 1
    assert "last exception: " in capsys.readouterr().out


def test_the_instruction_that_shows_it_is_captured_and_is_left_out_of_what_is_redacted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source, svc = stale(tmp_path), (0xD400_0001).to_bytes(4, "little")
    for command, kind in (("capture", "contradicts"), ("redact", "not shown")):
        core = tmp_path / f"{command}.core"
        assert main([command, *source, str(core)]) == 0
        capsys.readouterr()
        assert (svc in core.read_bytes()) == (command == "capture")
        (answer,) = ask(capsys, "fault", "-s", str(core), status=1)
        assert answer["evidence"]["kind"] == kind


# --- Names, and what comes next


CAUGHT, GUEST = "fixtures/captures/access-flag.core", "fixtures/guests/access_flag/access_flag.elf"


def test_pc_elr_and_walked_addresses_have_the_names_of_the_elf_file(capsys: pytest.CaptureFixture[str]) -> None:
    with_elf = ("-s", str(ROOT / CAUGHT), "--elf", str(ROOT / GUEST))
    main(["fault", *with_elf])
    said = capsys.readouterr().out
    assert "returns to    ELR_EL1 0x40202000 <touch_start>, the instruction that raised it\n" in said
    assert "pc            vectors + 512, at the vector entry current EL, SP_ELx\n" in said
    (answer,) = ask(capsys, "fault", *with_elf, status=1)
    assert answer["symbols"] == {"pc": "vectors + 512", "return_address": "touch_start", "address": None}
    main(["walk", *with_elf, "vectors+4", "0x600000000010"])
    said = capsys.readouterr().out
    assert "0x40200004 <vectors + 4> -> 0x40200004" in said
    assert "\n0x600000000010: access flag fault" in said, "nothing of the file is there"
    (answer,) = ask(capsys, "fault", "-s", str(ROOT / CAUGHT), status=1)
    assert set(answer["symbols"].values()) == {None}


def test_a_dump_is_not_offered_what_refuses_dumps(capsys: pytest.CaptureFixture[str]) -> None:
    main(["fault", "-s", str(ROOT / CAUGHT)])
    said = capsys.readouterr().out
    assert "the access flag is clear" in said
    assert "mmu fixup" not in said


# --- Suspicions in words


def writer(*reaches: bool | None, waited: bool = True, synchronized: bool = True) -> Writer:
    t = Tables()
    t.map(VA, PA)
    leaf = walk(ARM.regime_for(reader(t.registers()), VA), VA, t.read).steps[-1]
    tlbis = [Effect(0x1010 - 4 * n, EffectKind.INVALIDATE, f"TLBI {n}", 0x7000, each) for n, each in enumerate(reaches)]
    return Writer(Effect(0x1000, EffectKind.STORE, "STR", 0), leaf, waited, synchronized, tuple(tlbis))


CHANGE = SeenChange(Sighting(0x4010_2000, 3, 0x702, 1))


@pytest.mark.parametrize(
    ("suspicion", "said"),
    [
        (Suspicion(SpuriousCause.OTHER_EXCEPTION), "perhaps an older exception"),
        (Suspicion(SpuriousCause.REPAIRED), "perhaps repaired by another CPU"),
        (Suspicion(SpuriousCause.REPAIRED, Weight.LIKELY, (2,)), "probably repaired by CPU 2"),
        (Suspicion(SpuriousCause.REPAIRED, Weight.LIKELY, (2, 5)), "probably repaired by CPUs 2, 5"),
        (Suspicion(SpuriousCause.REPAIRED, Weight.LIKELY, (2,), replace(CHANGE, by="fixup")),
         "probably repaired for CPU 2 by `mmu fixup`"),
        (Suspicion(SpuriousCause.REPAIRED, Weight.SHOWN, (), replace(CHANGE, by="pte", here=True)),
         "probably repaired by `mmu pte`"),
        (Suspicion(SpuriousCause.STALE_LEAF), "perhaps a stale TLB entry"),
        (Suspicion(SpuriousCause.STALE_TABLE, Weight.LIKELY), "probably a stale table in the TLB"),
        (Suspicion(SpuriousCause.MISSING_BARRIER), "perhaps a missing DSB or ISB"),
        (Suspicion(SpuriousCause.MISSING_BARRIER, Weight.SHOWN, writer=writer(waited=False, synchronized=False)),
         "probably a missing DSB"),
        (Suspicion(SpuriousCause.MISSING_BARRIER, Weight.SHOWN, writer=writer(synchronized=False)),
         "probably a missing ISB"),
    ],
)  # fmt: skip
def test_the_sentence_ends_in_the_likeliest(suspicion: Suspicion, said: str) -> None:
    assert briefly((suspicion,), WORDS) == said


STORE = "the STR at 0x1000 wrote the level 3 descriptor"


@pytest.mark.parametrize(
    ("suspicion", "because"),
    [
        (Suspicion(SpuriousCause.STALE_LEAF, Weight.SHOWN, writer=writer()), f"{STORE}, and no TLBI came after it"),
        (Suspicion(SpuriousCause.STALE_LEAF, Weight.SHOWN, writer=writer(False)),
         f"{STORE}, and then TLBI 0 at 0x1010 named 0x7000"),
        # Of several, the one that did it.
        (Suspicion(SpuriousCause.STALE_LEAF, Weight.UNLIKELY, writer=writer(False, True)),
         f"{STORE}, and then TLBI 1 at 0x100c covered it"),
        (Suspicion(SpuriousCause.MISSING_BARRIER, Weight.UNLIKELY, writer=writer()),
         f"{STORE}, and DSB and ISB came after it"),
        (Suspicion(SpuriousCause.REPAIRED, Weight.LIKELY, change=CHANGE),
         "the level 3 descriptor at PA 0x40102000 was 0x0000000000000702 when CPU 1 stopped, which refuses just this"),
        (Suspicion(SpuriousCause.REPAIRED, Weight.SHOWN, change=replace(CHANGE, here=True)), "earlier at this stop"),
        (Suspicion(SpuriousCause.STALE_TABLE, levels=(3, 2)), "the fault is of level 3, and level 2 maps it now"),
    ],
)  # fmt: skip
def test_what_speaks_for_a_cause_or_against_it_is_said(suspicion: Suspicion, because: str) -> None:
    ((_, said),) = suspicion_rows([suspicion], VA, WORDS)
    assert because in str(said)


def test_rows_begin_with_how_likely_they_are_and_end_in_the_test_but_for_the_unlikely() -> None:
    likely = Suspicion(SpuriousCause.STALE_LEAF, Weight.LIKELY)
    rows = suspicion_rows(
        [likely, Suspicion(SpuriousCause.MISSING_BARRIER), Suspicion(SpuriousCause.REPAIRED, Weight.UNLIKELY)],
        VA,
        WORDS,
    )
    assert [label for label, _ in rows] == ["probably", "or", "unlikely"]
    assert str(rows[0][1]).endswith("until `mmu tlbi 0x12345000`")
    assert str(rows[1][1]).endswith("look at the writer")
    assert rows[2][1] == "the tables were repaired after the fault"
    assert suspicion_rows([Suspicion(SpuriousCause.REPAIRED)], VA, WORDS)[0][0] == "perhaps"


DATA_LOWER, PERMISSION_3 = 0b100100 << 26, 0b001111


def test_a_stage_2_is_invalidated_by_ipa_with_the_guests_vmid_and_not_by_what_is_el2s_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    memory, everything = Memory(), 0b1111 << 2 | 3 << 8 | 1 << 6 | 1 << 10
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    memory.identity(everything)
    memory.stage2(everything, 0x6543_2000, 0x7000_0000)
    taken = {"ESR_EL2": DATA_LOWER | PERMISSION_3, "FAR_EL2": 0x5018, "ELR_EL2": 0x1000, "SPSR_EL2": EL1H}
    registers = {**el2(), **guest(), **taken, "HPFAR_EL2": 0, "cpsr": EL2H, "VBAR_EL2": 0, "pc": 0x400}
    words = saved(memory, tmp_path, registers)
    (answer,) = ask(capsys, "fault", *words, status=1)
    assert (answer["verdict"], answer["suspicions"][0]["cause"]) == ("tables permit", "stale leaf")
    main(["fault", *words])
    said = " ".join(capsys.readouterr().out.split())
    by_hand = "until `TLBI IPAS2E1IS` of 0x65432000, and `TLBI VMALLE1IS`, with the guest's VMID in VTTBR_EL2"
    assert f"a TLB kept an older leaf. Go on, and it faults again, {by_hand}" in said
    assert "mmu tlbi" not in said, "which at EL2 is about EL2's own translations"


# At reset

RESET = {"ESR_EL1": 0, "ELR_EL1": 0, "SPSR_EL1": 0, "FAR_EL1": 0, "pc": 0, "VBAR_EL1": 0}


@pytest.mark.parametrize("changes", [{}, {"pc": 0x4000_0000}, {"pc": 0x200}])
def test_at_reset_there_has_been_no_exception(capsys: pytest.CaptureFixture[str], tmp_path: Path, changes) -> None:
    """Also where pc is an entry of vectors that nobody has set: VBAR and pc are both 0 there."""
    words = saved(Tables(memory={0x4000_0000: 0}), tmp_path, {**Tables().registers(), **RESET, **changes})
    (answer,) = ask(capsys, "fault", *words, status=0)
    assert answer["verdict"] == "none taken"
    assert answer["sentence"] == (
        "No exception has been taken since reset, as far as the registers say: ESR_EL1, ELR_EL1, SPSR_EL1 are 0."
    )
    assert main(["fault", *words]) == 0
    out = capsys.readouterr().out
    assert "came from" not in out
    assert "unknown reason" not in out
    assert main(["esr", *words]) == 0
    assert " ".join(capsys.readouterr().out.split()) == answer["sentence"], "a syndrome of nothing says the same"


NEW_UNDER_KVM = 0x1DE7_EC7E_DBAD_C0DE
"""What a machine of KVM's has in ESR_EL1 until it takes an exception: seen on Linux 6.1."""


def test_what_kvm_leaves_in_a_new_machine_is_no_exception(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    new = {**Tables().registers(), **RESET, "pc": 64, "ESR_EL1": NEW_UNDER_KVM, "FAR_EL1": NEW_UNDER_KVM}
    words = saved(Tables(memory={0x4000_0000: 0}), tmp_path, new)
    (answer,) = ask(capsys, "fault", *words, status=0)
    assert answer["verdict"] == "none taken"
    assert answer["sentence"].endswith(
        "ESR_EL1 is 0x1de7ec7edbadc0de, as a hypervisor of Linux's leaves it in a new guest, and ELR_EL1 is 0."
    )
    main(["esr", *words])
    assert " ".join(capsys.readouterr().out.split()) == answer["sentence"]


@pytest.mark.parametrize(
    "changes",
    [
        {"ESR_EL1": 0x0200_0000},
        {"ESR_EL1": NEW_UNDER_KVM, "ELR_EL1": 0x4000_0000},
        {"ELR_EL1": 0x4000_0000},
        {"SPSR_EL1": 0x3C5},
    ],
)
def test_what_any_exception_leaves_is_one(capsys: pytest.CaptureFixture[str], tmp_path: Path, changes) -> None:
    words = saved(Tables(memory={0x4000_0000: 0}), tmp_path, {**Tables().registers(), **RESET, "pc": 64, **changes})
    (answer,) = ask(capsys, "fault", *words, status=0)
    assert answer["verdict"] != "none taken"
