"""What a working set is made of, with a guest that is a script: each sample's flags, faults and ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import AccessKind
from gdbtools.commands.session import Session
from gdbtools.commands.working_set import run as working_set_run
from gdbtools.commands.working_set import view as working_set_view
from gdbtools.commands.working_set.run import WorkingSet
from gdbtools.errors import Refused, Unavailable
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu, Machine, Served
from gdbtools.render.text import render
from gdbtools.repair.sampling import Method
from tests.tables import Tables

ARM = ARCHITECTURES["aarch64"]
PAGE = 1 << 12
VA = 0x10_0000
AF, DBM = 1 << 10, 1 << 51
VECTORS, STACK = 0x4300_0000, 0x4310_0000
(RETURN,) = ARM.gadgets.returns
READ, WRITE = 0x9600_000B, 0x9600_004B
HA = 1 << 39
Handle = Callable[[Machine], Served] | None
Script = Callable[["Guest", Handle], str]


@dataclass
class Guest:
    """Tables with eight pages from VA on, and what the guest does each time it runs, one script a time."""

    scripts: Sequence[Script]
    hardware: bool = False
    root: int = 0x4000_0000
    clear: Sequence[int] = ()
    tables: Tables = field(default_factory=Tables)
    emptied: int = 0
    typed: bool = False
    gone: bool = False
    flags_when_run: list[list[bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = [
            self.tables.map(VA + number * PAGE, 0x4400_0000 + number * PAGE, AF=number not in self.clear)
            for number in range(8)
        ]
        self.tables.map(VECTORS, VECTORS, AP=0b10)
        self.tables.map(STACK - PAGE, STACK - PAGE)
        self.tables.memory[VECTORS + 0x80] = RETURN.match
        self.session = Session(self.machine())

    def machine(self, **registers: int) -> Machine:
        if self.gone:
            raise Unavailable("nothing is attached")
        values = self.tables.registers(VBAR_EL1=VECTORS, TTBR0_EL1=self.root, sp=STACK, **registers)
        if self.hardware:
            values |= {"TCR_EL1": values["TCR_EL1"] | HA, "ID_AA64MMFR1_EL1": 1 << 12 | 1}
        cpu = registers.get("cpu", 0)
        return Machine(ARM, self.tables, (Cpu(cpu, FixedRegisters(values, "a test")),), cpu, self)  # type: ignore[arg-type]

    def flags(self) -> list[bool]:
        return [bool(self.tables.memory[pa] & AF) for pa in self.at]

    # What a live guest is asked for.

    def interrupted(self) -> bool:
        return self.typed

    def serve(self, handle: Handle, seconds: float | None = None) -> str:
        assert seconds == 2
        assert self.emptied == len(self.flags_when_run) + 2, "the TLB is emptied after the flags are cleared"
        self.flags_when_run.append(self.flags())
        return self.scripts[len(self.flags_when_run) - 1](self, handle)

    def empty_tlb(self) -> None:
        self.emptied += 1

    def symbol(self, address: int) -> str:
        return f"at_{address:x}"

    # What scripts do.

    def fault(self, number: int, handle: Handle, esr: int = READ, cpu: int = 0, pc: int = 0x5000) -> bool:
        """Touch a page as a CPU does: fault, and again if nobody has cured it; gives whether the touch was made."""
        assert handle is not None
        at = {"pc": VECTORS + 0x200, "ESR_EL1": esr, "FAR_EL1": VA + number * PAGE, "ELR_EL1": pc}
        served = handle(self.machine(**at, cpu=cpu))
        return served.goes_on and served.registers is not None

    def set(self, *numbers: int) -> None:
        """Touch pages as hardware sees it."""
        for number in numbers:
            self.tables.memory[self.at[number]] |= AF

    def ask(self, **options: Any) -> WorkingSet:
        given = {"range": (VA, 8 * PAGE), "interval": 2, "samples": len(self.scripts), **options}
        (answer,) = working_set_run.run(self.session, working_set_run.Options(**given))
        return answer


def touched(answer: WorkingSet) -> list[list[int]]:
    return [[(leaf.first - VA) // PAGE for leaf in sample.touched] for sample in answer.samples]


def idle(guest: Guest, handle: Handle) -> str:
    return ""


def sets(*numbers: int) -> Script:
    def script(guest: Guest, handle: Handle) -> str:
        guest.set(*numbers)
        return ""

    return script


def faults(*numbers: int) -> Script:
    def script(guest: Guest, handle: Handle) -> str:
        assert all(guest.fault(number, handle) for number in numbers)
        return ""

    return script


def test_every_flag_is_clear_while_a_sample_runs_and_as_it_was_afterwards() -> None:
    guest = Guest([sets(1, 4), sets(4, 5)], hardware=True, clear=[2, 5])
    answer = guest.ask()
    assert guest.flags_when_run == [[False] * 8] * 2
    assert touched(answer) == [[1, 4], [4, 5]]
    assert answer.setting.method is Method.FLAGS
    # 5 has been touched, 2 has not.
    assert guest.flags() == [number != 2 for number in range(8)]
    assert answer.restored == 5
    assert len(guest.session.written) == 0


def test_faults_are_repaired_and_tell_who_was_first() -> None:
    def script(guest: Guest, handle: Handle) -> str:
        assert guest.fault(3, handle, WRITE, cpu=2, pc=0x6000)
        assert guest.fault(3, handle, READ, cpu=1, pc=0x7000), "it is spurious by then, and returns"
        return ""

    guest = Guest([script])
    answer = guest.ask()
    (touch,) = answer.samples[0].touched.values()
    assert touch is not None
    assert (touch.access.kind, touch.access.privilege, touch.cpu, touch.pc) == (AccessKind.WRITE, 1, 2, 0x6000)
    assert answer.symbols == {0x6000: "at_6000"}
    assert guest.flags() == [True] * 8


def test_a_touch_is_the_samples_that_it_fell_into() -> None:
    guest = Guest([faults(1), idle, faults(1, 2)])
    assert touched(guest.ask()) == [[1], [], [1, 2]]


def test_a_flag_that_was_clear_and_is_touched_stays_set_and_undo_knows_it() -> None:
    guest = Guest([faults(2)], clear=[2, 3])
    guest.ask()
    assert guest.flags() == [number != 3 for number in range(8)]
    (repair,) = guest.session.written.repairs
    (change,) = repair.changes
    assert (change.pa, int(change.before) ^ int(change.after)) == (guest.at[2], AF)


def test_it_says_which_flag_was_set_for_an_access_and_can_be_undone() -> None:
    guest = Guest([faults(2)], clear=[2, 3])
    answer = guest.ask()
    assert (answer.accessed, working_set_view.record(answer)["accessed"]) == (1, 1)
    said = " ".join(render(working_set_view.view(answer)).split())
    assert "1 was clear before, and set for an access, as the guest would have: `mmu undo` clears it" in said
    answer = Guest([faults(2)]).ask()
    assert answer.accessed == 0
    assert "clear before" not in render(working_set_view.view(answer))


def test_a_descriptor_that_the_guest_rewrites_with_its_flag_still_clear_leaves_nothing_to_undo() -> None:
    """As Linux does for a fork: it makes a page read-only, its flag as it finds it, and then comes the access."""

    def script(guest: Guest, handle: Handle) -> str:
        guest.tables.memory[guest.at[3]] |= 0b10 << 6
        assert guest.fault(3, handle)
        return ""

    guest = Guest([script])
    answer = guest.ask()
    assert guest.flags() == [True] * 8
    assert len(guest.session.written) == 0, "as if nobody had cleared it: the guest itself took nothing away"
    assert answer.accessed == 0


def test_a_flag_that_the_guests_own_scanner_clears_after_a_touch_stays_clear() -> None:
    def script(guest: Guest, handle: Handle) -> str:
        guest.fault(3, handle)
        guest.tables.memory[guest.at[3]] &= ~AF
        return ""

    guest = Guest([script])
    assert touched(guest.ask()) == [[3]]
    assert guest.flags() == [number != 3 for number in range(8)]


def test_what_hardware_has_set_is_nothing_to_take_back() -> None:
    guest = Guest([sets(2)], hardware=True, clear=[2])
    guest.ask()
    assert guest.flags() == [True] * 8
    assert len(guest.session.written) == 0


def test_what_is_left_clear_is_in_the_log() -> None:
    guest = Guest([sets(1)], hardware=True, clear=[6])
    answer = guest.ask(leave=True)
    assert guest.flags() == [number == 1 for number in range(8)]
    assert answer.restored == 0
    assert {change.pa for change in guest.session.written.repairs[0].changes} == {
        guest.at[number] for number in (0, 2, 3, 4, 5, 7)
    }


def test_a_fault_of_the_same_address_in_another_address_space_is_the_guests_own() -> None:
    def script(guest: Guest, handle: Handle) -> str:
        other = Tables(root=0x4800_0000, memory=guest.tables.memory, _next=0x4810_0000)
        pa = other.map(VA, 0x4400_0000, AF=0)
        other.map(VECTORS, VECTORS, AP=0b10)
        guest.root = other.root
        assert not guest.fault(0, handle)
        assert not guest.tables.memory[pa] & AF
        return ""

    guest = Guest([script])
    assert touched(guest.ask()) == [[]]
    guest = Guest([script])
    with pytest.raises(AssertionError):
        guest.ask(everywhere=True)


def test_what_the_guest_maps_meanwhile_counts_where_its_tables_are_in_use() -> None:
    def script(guest: Guest, handle: Handle) -> str:
        guest.tables.memory[guest.at[0]] = 0
        guest.tables.map(VA + PAGE, 0x4567_8000)
        return ""

    guest = Guest([script], hardware=True)
    answer = guest.ask()
    assert [(leaf.first - VA) // PAGE for leaf in answer.samples[0].leaves] == list(range(1, 8))
    assert touched(answer) == [[1]]
    assert guest.tables.memory[guest.at[0]] == 0


def test_a_table_that_is_cut_off_is_there_no_more() -> None:
    def script(guest: Guest, handle: Handle) -> str:
        table = guest.at[0] & -PAGE
        (entry,) = [pa for pa, word in guest.tables.memory.items() if pa < table and word & 0xFFFF_FFFF_F000 == table]
        guest.tables.memory[entry] = 0
        return ""

    guest = Guest([script], hardware=True)
    assert guest.ask().samples[0].leaves == ()


def test_and_where_they_are_not_only_what_leads_where_it_led() -> None:
    def script(guest: Guest, handle: Handle) -> str:
        guest.set(2)
        guest.tables.memory[guest.at[0]] = 0
        guest.tables.map(VA + PAGE, 0x4567_8000)
        guest.root = 0x4900_0000
        return ""

    guest = Guest([script], hardware=True)
    answer = guest.ask()
    assert [(leaf.first - VA) // PAGE for leaf in answer.samples[0].leaves] == list(range(2, 8))
    assert touched(answer) == [[2]]
    assert guest.flags() == [False, *[True] * 7]


def test_another_stop_ends_it_with_what_there_is() -> None:
    def script(guest: Guest, handle: Handle) -> str:
        guest.set(7)
        return "breakpoint 3"

    guest = Guest([script, idle, idle], hardware=True)
    answer = guest.ask()
    assert (touched(answer), answer.ended) == ([[7]], "breakpoint 3")
    assert guest.flags() == [True] * 8


def test_an_interrupt_between_two_samples_ends_it_too() -> None:
    def script(guest: Guest, handle: Handle) -> str:
        guest.typed = True
        return ""

    guest = Guest([script, idle], hardware=True)
    answer = guest.ask()
    assert (len(answer.samples), answer.ended) == (1, "interrupted")
    assert guest.flags() == [True] * 8


@pytest.mark.parametrize("error", [Refused("no more"), KeyboardInterrupt()])
def test_whatever_breaks_it_the_flags_are_set_again(error: BaseException) -> None:
    def script(guest: Guest, handle: Handle) -> str:
        raise error

    guest = Guest([script], hardware=True, clear=[4])
    with pytest.raises(type(error)):
        guest.ask()
    assert guest.flags() == [number != 4 for number in range(8)]
    assert len(guest.session.written) == 0


def test_of_a_guest_that_is_lost_the_faults_have_told_and_the_log_knows_what_was_written() -> None:
    def script(guest: Guest, handle: Handle) -> str:
        guest.fault(5, handle)
        guest.gone = True
        return "the guest is gone"

    guest = Guest([script, idle])
    answer = guest.ask()
    assert (touched(answer), answer.ended, answer.restored) == ([[5]], "the guest is gone", None)
    assert len(guest.session.written) == 9
    assert "gone with the guest" in render(working_set_view.view(answer))


def test_the_vectors_and_the_stack_are_left_out_where_somebody_faults_and_only_there() -> None:
    whole = {"range": (VA, STACK - VA)}
    guest = Guest([idle])
    answer = guest.ask(**whole)
    assert {leaf.first for leaf in answer.setting.spared} == {VECTORS, STACK - PAGE}
    assert [leaf.first for leaf in answer.samples[0].leaves] == [VA + number * PAGE for number in range(8)]
    assert Guest([idle], hardware=True).ask(**whole).setting.spared == {}
    with pytest.raises(Refused, match="no fault could be taken: the stack of CPU 0"):
        guest.ask(range=(STACK - PAGE, PAGE))


def test_the_way_follows_from_the_hardware_or_is_asked_for() -> None:
    assert Guest([idle]).ask().setting.method is Method.FAULTS
    assert Guest([idle], hardware=True).ask().setting.method is Method.FLAGS
    assert Guest([sets(1)]).ask(by="flags").setting.method is Method.FLAGS
    with pytest.raises(Refused, match="nobody faults"):
        Guest([idle], hardware=True).ask(by="faults")


def test_the_answer_comes_first_and_fits() -> None:
    guest = Guest([sets(0, 1), sets(1)], hardware=True)
    answer = guest.ask()
    lines = render(working_set_view.view(answer)).splitlines()
    assert lines[0] == "Working set: 6KB of 32KB resident (18.8%), the mean of 2 samples of 2 s: 4KB to"
    assert f"{VA:#018x}  ▄█······  8KB of 32KB" in lines
    assert any(line.startswith("sample 2, ") and " ·█······  4KB of 32KB" in line for line in lines)
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if line.startswith("0x10")]
    assert rows == [
        *(["0x101000", "4KB", "4KB", "2/2"], ["0x100000", "4KB", "4KB", "1/2"]),
        *(["0x101000", "at_101000", "2"], ["0x100000", "at_100000", "1"]),
    ]


def test_the_code_and_the_accesses_that_touched_most_are_shown_and_pages_by_their_names() -> None:
    def script(guest: Guest, handle: Handle) -> str:
        assert guest.fault(0, handle, WRITE, pc=0x6000)
        assert guest.fault(1, handle, READ, pc=0x7000)
        assert guest.fault(2, handle, READ, pc=0x7000)
        return ""

    answer = Guest([script, faults(2)]).ask()
    lines = [line.split() for line in render(working_set_view.view(answer)).splitlines()]
    tables = lines[lines.index(["access", "first", "touches"]) :]
    assert tables[: tables.index([])] == [["access", "first", "touches"], ["EL1", "read", "3"], ["EL1", "write", "1"]]
    code = lines[lines.index(["code", "first", "touches"]) :]
    assert code[1 : code.index([])] == [["at_7000", "2"], ["at_6000", "1"], ["at_5000", "1"]]
    pages = lines[lines.index(["page", "samples"]) :]
    assert pages[1:4] == [
        ["0x102000", "at_102000", "2"],
        ["0x100000", "at_100000", "1"],
        ["0x101000", "at_101000", "1"],
    ]
    hottest: Any = working_set_view.record(answer)["hottest"]
    assert hottest["accesses"] == {"EL1 read": 3, "EL1 write": 1}
    assert hottest["code"][0] == {"place": "at_7000", "count": 2}
    assert hottest["pages"][0] == {"page": f"{VA + 2 * PAGE:#018x}", "name": "at_102000", "count": 2}


def test_without_symbols_code_has_its_address_and_pages_are_not_listed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Guest, "symbol", lambda self, address: "")
    answer = Guest([faults(1)]).ask()
    lines = [line.split() for line in render(working_set_view.view(answer)).splitlines()]
    assert ["0x5000", "1"] in lines
    assert ["page", "samples"] not in lines
    hottest: Any = working_set_view.record(answer)["hottest"]
    assert hottest["pages"] == [{"page": f"{VA + PAGE:#018x}", "count": 1}]


def test_json_has_each_touched_run_of_each_sample() -> None:
    answer = working_set_view.record(Guest([faults(1, 2, 4), faults(4)]).ask())
    samples: Any = answer["samples"]
    runs = [[(int(run["first"], 16), run["size"], run["by"]["access"]) for run in each["runs"]] for each in samples]
    assert runs == [
        [(VA + PAGE, 2 * PAGE, "read"), (VA + 4 * PAGE, PAGE, "read")],
        [(VA + 4 * PAGE, PAGE, "read")],
    ]
    assert answer["touched"] == 3 * PAGE


def test_a_range_that_is_not_mapped_any_more_when_a_sample_ends_is_said_to_be() -> None:
    def leaves(guest: Guest, handle: Handle) -> str:
        # As when the process has ended, or another runs.
        guest.tables.memory.update(dict.fromkeys(guest.at, 0))
        return ""

    answer = Guest([leaves, idle]).ask()
    said = " ".join(render(working_set_view.view(answer)).split())
    assert "Nothing of the range was mapped when the samples ended" in said
    assert [sample["resident"] for sample in working_set_view.record(answer)["samples"]] == [0, 0]
