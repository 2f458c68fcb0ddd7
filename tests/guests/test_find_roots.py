"""Roots found in the RAM of real guests, without a register, against the registers of the very guests."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gdbtools.analysis.mappings import mappings
from gdbtools.analysis.roots.reading import FoundRoot
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.registers.hypervisor import VTCR_EL2
from gdbtools.arch.aarch64.registers.translation import TCR_EL1, TTBR
from gdbtools.arch.model import Run
from gdbtools.arch.table_heuristics import Owner
from gdbtools.children.processes import Qemu
from gdbtools.commands import COMMANDS
from gdbtools.commands.answering import query
from gdbtools.commands.find_roots.view import Roots
from gdbtools.commands.session import Session
from gdbtools.errors import Unavailable
from gdbtools.machine.layers import FixedRegisters, MemoryRange, Ranges
from gdbtools.machine.model import Cpu, Machine
from gdbtools.machine.sources import open_source
from gdbtools.machine.symbols import symbol_values
from gdbtools.systems.vmcoreinfo import FIRST_KEY
from tests.guests.linux import RAM, LinuxGuest, Stub
from tests.guests.packages import kernel
from tests.guests.test_linux import KERNEL, OWN_SHAPES, SHAPES, USER, Shape
from tests.guests.xen import DOM0_BYTES, XenGuest
from tests.places import ROOT
from tests.tables import reader

pytestmark = pytest.mark.guest

ARM = ARCHITECTURES["aarch64"]
GUESTS = ROOT / "fixtures/guests"
PROCESSES = 3
COMMAND = COMMANDS["find-roots"]


def machine_of(
    read: Callable[[int, int], bytes], size_bytes: int, registers: Mapping[str, int] | None = None
) -> Machine:
    """Return RAM as an image that has no registers, or only these."""
    memory = Ranges((MemoryRange(RAM, size_bytes, lambda at, size: read(RAM + at, size)),), "the guest's RAM")
    return Machine(ARM, memory, (Cpu(0, FixedRegisters(registers or {}, "an image")),))


def ask(machine: Machine, *words: str) -> Roots:
    [answer] = COMMAND.run(Session(machine), query(COMMAND, words, lambda text: int(text, 0), "test").options)
    return answer


def base_of(value: int, wide: bool) -> int:
    return TTBR(value).base(wide)


class Truth:
    """What the registers of a kernel say: its own root, its size, and the roots of processes."""

    def __init__(self, shape: Shape, kernel: Mapping[str, int], processes: list[Mapping[str, int]]) -> None:
        level = f"EL{shape.kernel_el}"
        tcr = TCR_EL1(kernel[f"TCR_{level}"])
        self.level = level
        self.wide = bool(tcr.DS)
        self.root = base_of(kernel[f"TTBR1_{level}"], self.wide)
        self.bits = 64 - tcr.T1SZ
        self.granule = {0b01: 1 << 14, 0b10: 1 << 12, 0b11: 1 << 16}[tcr.TG1]
        self.processes = {base_of(each[f"TTBR0_{level}"], self.wide) for each in processes}
        self.permits_as_is = not tcr.HD and not kernel.get("TCR2_EL1", 0)


@contextmanager
def running(shape: Shape) -> Iterator[tuple[LinuxGuest, Truth, dict[str, int]]]:
    """Yield a kernel that stands still in its own code, on behalf of one process while others are there."""
    try:
        guest = shape.guest()
    except Unavailable as why:
        pytest.skip(str(why))
    with guest, ExitStack() as stack:
        pids = [stack.enter_context(guest.process(USER)) for _ in range(PROCESSES)]
        processes: list[Mapping[str, int]] = []
        for pid in pids:
            with guest.stopped(pid) as registers:
                processes.append(dict(registers))
        stack.enter_context(guest.process(KERNEL))
        with guest.stopped(el=shape.kernel_el) as registers:
            yield guest, Truth(shape, registers, processes), registers


OFTEN = ("6.1-4k-cortex-a57-system", "6.12-4k-max-system", "6.12-16k-max-system", "6.1-4k-neoverse-n1-vhe-system")
"""Each size of root that a page has several of or one, and a host; the others take longer than they tell."""
ALL = [each if str(each) in OFTEN else pytest.param(each, marks=pytest.mark.full) for each in (*SHAPES, *OWN_SHAPES)]


@pytest.fixture(scope="module", params=ALL, ids=str)
def linux(request: pytest.FixtureRequest) -> Iterator[tuple[LinuxGuest, Truth, dict[str, int]]]:
    with running(request.param) as held:
        yield held


def test_a_kernels_own_root_is_first_and_every_process_is_there(linux) -> None:
    """Also without VMCOREINFO, which would say the first of these."""
    guest, truth, _ = linux

    def read(pa: int, size_bytes: int) -> bytes:
        data = guest.read(pa, size_bytes)
        return data.replace(FIRST_KEY, b"NOTHING!!!")

    found = ask(machine_of(read, guest.memory_bytes))
    assert found.linux == ()
    best = found.ranking.found[0]
    assert (best.place.root, best.place.register) == (truth.root, "TTBR1_EL1")
    assert (best.place.form.table_bytes, best.place.input_bits) == (truth.granule, truth.bits)
    assert best.likely
    assert [each.place.root for each in found.chosen] == [truth.root], "none of the processes stands out"
    assert truth.processes <= {each.place.root for each in found.ranking.found if each.owner is Owner.USER}
    sizes = {(e.place.form.table_bytes, e.place.input_bits) for e in found.ranking.found if e.owner is Owner.USER}
    assert sizes == {(truth.granule, truth.bits)}


def test_whatever_is_listed_is_a_root_of_this_kernels(linux) -> None:
    """Its own, those of its processes, and the few that it has for its beginning and for leaving it."""
    guest, truth, _ = linux
    found = ask(machine_of(guest.read, guest.memory_bytes)).ranking.found
    assert len(found) <= 12
    assert {each.owner for each in found} == {Owner.KERNEL, Owner.USER}
    assert {each.place.form.table_bytes for each in found} == {truth.granule}


def test_vmcoreinfo_is_found_where_the_kernel_has_it_and_names_the_same_root(linux) -> None:
    guest, truth, _ = linux
    found = ask(machine_of(guest.read, guest.memory_bytes))
    if not found.linux:
        pytest.skip("this kernel was built without VMCOREINFO")
    assert [each.root for each in found.linux] == [truth.root]
    assert "MAIR_EL1" in found.registers.values


def test_where_the_cpu_stood_says_whose_process_it_was_working_for(linux) -> None:
    """General registers are what QEMU's own dumps have."""
    guest, truth, registers = linux
    general = {name: registers[name] for name in ARM.general if name in registers}
    found = ask(machine_of(guest.read, guest.memory_bytes, general))
    best = found.chosen[0]
    assert (best.place.root, best.place.register) == (truth.root, f"TTBR1_{truth.level}")
    assert {"running", "stack"} <= {one.sign.label for one in best.evidence}


def test_the_map_under_the_registers_that_fit_is_the_map_under_the_real_ones(linux) -> None:
    guest, truth, registers = linux
    found = ask(machine_of(guest.read, guest.memory_bytes))
    ours = upper(found.registers.values, guest)
    real = upper(registers, guest)
    assert len(ours) > 10
    assert [where(run) for run in ours] == [where(run) for run in real]
    if truth.permits_as_is:
        assert [(str(run.attributes.rights[0]), run.attributes.is_global) for run in ours] == [
            (str(run.attributes.rights[0]), run.attributes.is_global) for run in real
        ]


def upper(registers: Mapping[str, int], guest: LinuxGuest) -> list[Run]:
    runs = (each for each in mappings(ARM, reader(registers), guest.read) if isinstance(each, Run))
    return joined([run for run in runs if run.first >> 63])


def joined(runs: list[Run]) -> list[Run]:
    """Join neighbours that differ in no more than what one knows only from registers: memory types."""
    found: list[Run] = []
    for run in runs:
        before = found[-1] if found else None
        if before is not None and before.output is not None and run.output is not None:
            follows = (before.last + 1, before.output + before.size_bytes) == (run.first, run.output)
            if follows and (before.leaf_bytes, before.stride_bytes) == (run.leaf_bytes, run.stride_bytes):
                found[-1] = before._replace(size_bytes=before.size_bytes + run.size_bytes)
                continue
        found.append(run)
    return found


def where(run: Run) -> tuple[int, int, int | None, int, int]:
    return run.first, run.size_bytes, run.output, run.leaf_bytes, run.kind.level


# Bare metal


@contextmanager
def bare(name: str, folder: Path, cpus: int = 1, cpu: str = "cortex-a57", **words: int) -> Iterator[tuple[Path, Stub]]:
    """Yield a bare guest that has run for a while and stands still, with variables of its set before it started."""
    file = GUESTS / name / f"{name}.elf"
    ram = folder / "ram"
    ram.touch()
    backend = ("-object", f"memory-backend-file,id=ram,size=128M,mem-path={ram},share=on")
    with Qemu(file, cpus=cpus, cpu=cpu, machine="virt,memory-backend=ram", extra=backend) as qemu:
        stub = Stub(qemu.gdbstub)
        stub.ask("Qqemu.PhyMemMode:1")
        for symbol, value in words.items():
            size = 4 if symbol == "granule_bits" else 8
            data = value.to_bytes(size, "little").hex()
            assert stub.ask(f"M{symbol_values(file)[symbol]:x},{size:x}:{data}") == "OK"
        stub.ask("Qqemu.PhyMemMode:0")
        yield ram, stub
        stub.close()


def after(stub: Stub, path: Path, seconds: float) -> dict[str, int]:
    """Let a guest run, and give its registers as it then stands."""
    stub.ask("D")
    stub.close()
    time.sleep(seconds)
    again = Stub(path)
    again.ask("Hg0")
    registers = again.registers()
    again.close()
    return registers


BARE = [
    ("access_flag", {"scanning": 0, "rounds": 1 << 30}, 2, "cortex-a57"),
    ("storm", {"scanning": 0, "rounds": 1 << 30}, 4, "cortex-a57"),
    ("tlb", {}, 1, "cortex-a57"),
    ("tlb", {"granule_bits": 14}, 1, "max"),
]


@pytest.mark.parametrize(("name", "words", "cpus", "cpu"), BARE, ids=["access_flag", "storm", "tlb-4k", "tlb-16k"])
def test_bare_metals_roots_are_found_and_nothing_else(
    qemu: str, tmp_path: Path, name: str, words: dict[str, int], cpus: int, cpu: str
) -> None:
    with bare(name, tmp_path, cpus, cpu, **words) as (ram, stub):
        path = Path(stub._socket.getpeername())
        registers = running_guest(stub, path)
        shutil.copy(ram, tmp_path / "copy")
    tcr = TCR_EL1(registers["TCR_EL1"])
    found = ask(open_source(f"{tmp_path / 'copy'}@{RAM:#x}", architecture="aarch64"))
    wanted = {("TTBR0_EL1", base_of(registers["TTBR0_EL1"], False))}
    wanted |= set() if tcr.EPD1 else {("TTBR1_EL1", base_of(registers["TTBR1_EL1"], False))}
    assert {(each.place.register, each.place.root) for each in found.ranking.found} == wanted
    assert {(each.place.register, each.place.root) for each in found.chosen} == wanted
    assert all(each.likely for each in found.chosen)
    assert {each.place.input_bits for each in found.chosen} == {64 - tcr.T0SZ}
    ours = [where(each) for each in runs_of(found.registers.values, tmp_path / "copy")]
    assert ours == [where(each) for each in runs_of(registers, tmp_path / "copy")]


def running_guest(stub: Stub, path: Path) -> dict[str, int]:
    """Let a guest go until its MMU is on."""
    registers = after(stub, path, 0.5)
    for _ in range(40):
        if registers["SCTLR_EL1"] & 1:
            return registers
        again = Stub(path)
        registers = after(again, path, 0.5)
    raise AssertionError("the guest does not turn its MMU on")


def runs_of(registers: Mapping[str, int], image: Path) -> list[Run]:
    read = open_source(f"{image}@{RAM:#x}", architecture="aarch64").memory.read
    return joined([each for each in mappings(ARM, reader(registers), read) if isinstance(each, Run)])


def test_before_the_tables_are_built_there_are_none(qemu: str, tmp_path: Path) -> None:
    with bare("access_flag", tmp_path) as (ram, _):
        shutil.copy(ram, tmp_path / "copy")
    found = ask(open_source(f"{tmp_path / 'copy'}@{RAM:#x}", architecture="aarch64"))
    assert found.ranking.found == ()
    assert COMMAND.finding(found)


# Xen


@pytest.fixture(scope="module", params=["cortex-a57", pytest.param("cortex-a53", marks=pytest.mark.full)])
def xen_guest(request: pytest.FixtureRequest) -> Iterator[tuple[XenGuest, dict[str, int]]]:
    """A Xen whose dom0 is in its kernel: on a cortex-a53 its stage 2 starts with two tables side by side."""
    try:
        guest = XenGuest(kernel("6.1-4k"), request.param)
        with guest, guest.process(KERNEL), guest.stopped(el=1) as registers:
            yield guest, registers
    except Unavailable as why:
        pytest.skip(str(why))


def test_a_hypervisors_own_root_its_guests_and_their_kernels_are_told_apart(xen_guest) -> None:
    guest, registers = xen_guest
    found = ask(machine_of(guest.read, guest.memory_bytes))
    chosen = {each.place.register: each for each in found.chosen}
    assert {name: each.place.root for name, each in chosen.items()} == {
        "TTBR0_EL2": base_of(registers["TTBR0_EL2"], False),
        "VTTBR_EL2": base_of(registers["VTTBR_EL2"], False),
        "TTBR1_EL1": base_of(registers["TTBR1_EL1"], False),
    }
    owners = {name: each.owner for name, each in chosen.items()}
    assert owners == {
        "TTBR0_EL2": Owner.HYPERVISOR,
        "VTTBR_EL2": Owner.VIRTUAL_MACHINE,
        "TTBR1_EL1": Owner.KERNEL,
    }
    vtcr, ours = VTCR_EL2(registers["VTCR_EL2"]), VTCR_EL2(found.registers.values["VTCR_EL2"])
    assert (ours.SL0, ours.TG0) == (vtcr.SL0, vtcr.TG0)
    assert ours.T0SZ <= vtcr.T0SZ, "of a root that is not full, nobody knows how large it is"
    assert ours.T0SZ == vtcr.T0SZ or vtcr.SL0 == 2
    assert memory_given(chosen["VTTBR_EL2"]) >= DOM0_BYTES or guest.cpu == "cortex-a53"


def memory_given(found: FoundRoot) -> int:
    [evidence] = [one for one in found.evidence if one.sign.label == "memory"]
    return evidence.count


@pytest.mark.parametrize("regime", ["el1", "el2", "stage2"])
def test_each_of_xens_regimes_maps_what_it_maps_under_the_real_registers(xen_guest, regime: str) -> None:
    guest, registers = xen_guest
    found = ask(machine_of(guest.read, guest.memory_bytes))
    alone = {**registers, "HCR_EL2": 0}
    ours = [each for each in mappings(ARM, reader(found.registers.values), guest.read, regime) if isinstance(each, Run)]
    real = [each for each in mappings(ARM, reader(alone), guest.read, regime) if isinstance(each, Run)]
    if regime == "el1":
        ours, real = ([run for run in each if run.first >> 63] for each in (ours, real))
    assert len(ours) > 5
    assert [where(run) for run in joined(ours)] == [where(run) for run in joined(real)]
