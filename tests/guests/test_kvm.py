"""KVM's second stage on a real Linux: what a process says of its virtual machine's pages is what we find."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gdbtools.analysis.audit.findings import Finding
from gdbtools.analysis.faults.diagnosis import Verdict, diagnose
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.registers.hypervisor import VTCR_EL2, VTTBR
from gdbtools.arch.model import Access, AccessKind, FaultKind, Mapped, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.cli import main
from gdbtools.errors import Unavailable
from tests.guests.audits import audited
from tests.guests.kvm import PAGE_BYTES, RAM_IPA, TABLES, HostMode, Kvm, as_source
from tests.tables import reader

pytestmark = pytest.mark.guest

ARM = ARCHITECTURES["aarch64"]
NVHE, VHE = HostMode("cortex-a57"), HostMode("max")
PROTECTED = HostMode("cortex-a57", append="kvm-arm.mode=protected")
MODES = [NVHE, pytest.param(VHE, marks=pytest.mark.full), pytest.param(PROTECTED, marks=pytest.mark.full)]
EL1 = ARM.privileges[1]


@pytest.fixture(scope="module", params=MODES, ids=str)
def mode(request: pytest.FixtureRequest) -> HostMode:
    found: HostMode = request.param
    return found


@pytest.fixture(scope="module")
def kvm(mode: HostMode) -> Iterator[Kvm]:
    try:
        host = mode.guest()
    except Unavailable as missing:
        pytest.skip(str(missing))
    with host:
        yield Kvm(host)


@pytest.fixture(scope="module")
def machines(kvm: Kvm) -> Mapping[str, int]:
    """The registers that are the machine's while it runs: a protected host has others of its own for itself."""
    with kvm.stopped(in_machine=True) as registers:
        return {name: registers[name] for name in ("VTTBR_EL2", "VTCR_EL2", "HCR_EL2")}


def answers(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines()]


def pages_of(runs: Sequence[Mapping[str, Any]]) -> Mapping[int, int]:
    """Return where each page leads that runs in JSON have."""
    places = [(int(run["first"], 16), int(run["output"], 16), run["size"]) for run in runs]
    return {first + at: output + at for first, output, size in places for at in range(0, size, PAGE_BYTES)}


def test_every_page_is_where_the_process_has_it_with_what_was_written_there(kvm: Kvm) -> None:
    with kvm.stopped(in_machine=True) as registers:
        for page in kvm.pages:
            found = walk(ARM.regime_for(reader(registers), page.va), page.va, kvm.host.read)
            assert found.destination is not None
            assert found.destination.address == page.ipa
            assert found.outcome == Mapped(page.pa, PAGE_BYTES)
            assert int.from_bytes(kvm.host.read(page.pa, 8), "little") == page.word
            refused = ARM.check(found, Access(AccessKind.WRITE, EL1), registers["cpsr"])
            # The machine's own tables let it write everywhere: it is KVM that does not.
            kind = None if refused is None else (refused.fault.kind, refused.fault.stage)
            assert kind == ((FaultKind.PERMISSION, 2) if page.read_only else None)
        for page in kvm.pages[:: len(kvm.pages) // 16]:
            assert kvm.host.gva2gpa(page.va) == page.pa


def test_a_machine_that_has_taken_no_exception_has_none(kvm: Kvm) -> None:
    """KVM leaves a pattern in what its machine has not written, which no exception is."""
    with kvm.stopped(in_machine=True) as registers:
        assert registers["ESR_EL1"]
        assert diagnose(ARM, reader(registers), kvm.host.read).verdict is Verdict.NONE_TAKEN


def test_the_second_stage_maps_what_was_touched_and_nothing_else(kvm: Kvm) -> None:
    with kvm.stopped(in_machine=True) as registers:
        regime = ARM.regime_for(reader(registers), 0, "stage2")
        runs = [each for each in scan(regime, kvm.host.read) if isinstance(each, Run)]
    mapped = {run.first + at: run.output + at for run in runs for at in range(0, run.size_bytes, PAGE_BYTES)}
    own = {RAM_IPA + page * PAGE_BYTES for page in range(TABLES)}
    assert set(mapped) == own | {page.ipa for page in kvm.pages}
    assert {page.ipa: page.pa for page in kvm.pages}.items() <= mapped.items()


def test_what_it_costs_to_clean_is_counted_in_the_machine_and_by_its_root_in_the_host(
    kvm: Kvm, machines: Mapping[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = TABLES + len(kvm.pages)
    root = VTTBR(machines["VTTBR_EL2"]).BADDR
    # A protected host has a second stage of its own in force, which is laid out otherwise.
    layout = ("--with", f"VTCR_EL2={machines['VTCR_EL2']:#x}")
    for in_machine, words in ((True, ()), (False, (*layout, "--root", hex(root)))):
        with kvm.stopped(in_machine=in_machine) as registers:
            assert main(["stage2", *as_source(kvm.host, registers, tmp_path), *words, "--json"]) == 0
        (found,) = answers(capsys)
        assert sum(each["leaves"] for each in found["leaves"]) == pages
        (now,) = [each for each in found["bill"]["mapped"] if each["how"] == "as it is"]
        assert (now["entries"], now["size"]) == (pages, pages * PAGE_BYTES)


def test_the_machine_that_runs_is_the_one_guest_and_is_walked_as_such(
    kvm: Kvm, machines: Mapping[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with kvm.stopped(in_machine=True) as registers:
        source = as_source(kvm.host, registers, tmp_path)
        assert main(["guests", *source, "--json"]) == 0
        (found,) = answers(capsys)
        (guest,) = [each for each in found["guests"] if int(each["root"], 16) == VTTBR(machines["VTTBR_EL2"]).BADDR]
        chosen = kvm.pages[:: len(kvm.pages) // 16]
        main(["walk", *(hex(page.va) for page in chosen), *source, "--guest", str(guest["number"]), "--json"])
        walked = answers(capsys)
    assert [each["runs"] for each in guest["cpus"]] == [True]
    assert [(int(each["ipa"], 16), int(each["output"], 16)) for each in walked] == [
        (page.ipa, page.pa) for page in chosen
    ]


def listed(kvm: Kvm, in_machine: bool, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """Return the guests that are known, but for a protected host, which is one of VMID 0."""
    with kvm.stopped(in_machine) as registers:
        assert main(["guests", *as_source(kvm.host, registers, folder), "--json"]) == 0
    (found,) = answers(capsys)
    return [each for each in found["guests"] if each["identifier"]]


ANYWHERE = pytest.mark.parametrize("in_machine", [False, True], ids=["in the host", "in the machine"])


@ANYWHERE
def test_the_machine_is_its_processs_with_its_vmid_and_layout_wherever_the_cpu_is(
    kvm: Kvm, machines: Mapping[str, int], in_machine: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (guest,) = listed(kvm, in_machine, tmp_path, capsys)
    assert guest["name"] == f"kvm ({kvm.host.run('pidof kvm')})"
    held = VTTBR(machines["VTTBR_EL2"])
    assert (int(guest["root"], 16), guest["identifier"]) == (held.BADDR, held.VMID)
    assert guest["input_bits"] == 64 - VTCR_EL2(machines["VTCR_EL2"]).T0SZ
    assert [each["number"] for each in guest["virtual_cpus"]] == [0]
    assert guest["memory"] == (TABLES + len(kvm.pages)) * PAGE_BYTES


@pytest.mark.full
@ANYWHERE
def test_a_second_machine_is_listed_beside_the_first_whichever_runs(
    kvm: Kvm, in_machine: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with kvm.another() as pid:
        guests = listed(kvm, in_machine, tmp_path, capsys)
    assert [each["name"] for each in guests] == [f"kvm ({kvm.host.run('pidof kvm')})", f"second ({pid})"]
    assert len({each["root"] for each in guests}) == 2
    assert [each["memory"] for each in guests] == [(TABLES + len(kvm.pages)) * PAGE_BYTES] * 2
    # Of one CPU.
    assert sum(one["processor"] is not None for each in guests for one in each["virtual_cpus"]) <= 1


def test_an_audit_of_the_machine_finds_the_block_that_it_runs_in_and_writes(kvm: Kvm) -> None:
    with kvm.stopped(in_machine=True) as registers:
        found = audited(kvm.host, "aarch64", registers)
    assert [(each.rule.name, each.first) for each in found.findings] == [("writable-executable", RAM_IPA)]
    asked = {each.rule.name: each for each in found.checked}
    assert asked["guest-isolation"].examined == TABLES + len(kvm.pages)


@pytest.mark.full
def test_an_audit_of_the_host_finds_whose_tables_and_memory_it_has_in_reach(kvm: Kvm, mode: HostMode) -> None:
    """Beside its pools for DMA: without protection an nVHE host writes the tables of EL2, with it it does not."""
    sizes = map(int, kvm.host.run("cat /sys/kernel/debug/dma_pools/pool_size_*").split())
    with kvm.stopped(in_machine=False) as registers:
        found = audited(kvm.host, "aarch64", registers, roots=True)
    by: dict[str, list[Finding]] = {}
    for each in found.findings:
        by.setdefault(each.rule.name, []).append(each)
    pools = by.pop("mismatched-attributes", [])
    # pKVM gives its host memory as it is touched, and devices have not touched the pools.
    assert sum(each.size_bytes for each in pools) == (0 if mode is PROTECTED else sum(sizes))
    above = by.pop("writable-table", [])
    assert [each.said.endswith("of EL2, which is above it") for each in above] == [True] * (mode is NVHE)
    # A machine that is not protected is in all its memory its host's, its tables too: and that is a guest under pKVM.
    shared = by.pop("guest-isolation", [])
    assert all(each.said.startswith(("two guests have", "a guest reaches the level")) for each in shared)
    assert bool(shared) is (mode is PROTECTED)
    assert not by


def test_in_the_host_the_machine_is_listed_by_its_registers(
    kvm: Kvm, machines: Mapping[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with kvm.stopped(in_machine=False) as registers:
        source = as_source(kvm.host, registers, tmp_path)
        loaded = [word for name, value in machines.items() for word in ("--with", f"{name}={value:#x}")]
        assert main(["map", *source, "--regime", "stage2", *loaded, "--json"]) == 0
    (found,) = answers(capsys)
    assert pages_of(found["runs"]).items() >= {page.ipa: page.pa for page in kvm.pages}.items()
    assert found["looked_at"]["leaves"] == TABLES + len(kvm.pages)


@ANYWHERE
def test_whoever_runs_the_host_and_the_machine_are_found_in_memory(
    kvm: Kvm, machines: Mapping[str, int], in_machine: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the host has written of itself is not measured by the second stage of the machine that runs."""
    with kvm.stopped(in_machine=in_machine) as registers:
        assert main(["find-roots", *as_source(kvm.host, registers, tmp_path), "--all", "--json"]) == 0
    (found,) = answers(capsys)
    root = VTTBR(machines["VTTBR_EL2"]).BADDR
    owners = {int(each["root"], 16): each["owner"] for each in found["roots"]}
    assert owners[root] == "virtual machine"
    (named,) = found["vmcoreinfo"]
    assert named["why"] is None
    assert owners[int(named["root"], 16)] == "kernel"


def memory_of(capsys: pytest.CaptureFixture[str], source: Any, ipa: int, *words: str) -> tuple[str, Mapping[str, Any]]:
    """Return the memory type that a walk of the second stage ends in, and the whole answer."""
    main(["walk", hex(ipa), *source, "--regime", "stage2", *words, "--json"])
    (found,) = answers(capsys)
    return found["attributes"]["memory"], found


@pytest.mark.full
@pytest.mark.parametrize("mode", [VHE], ids=str, indirect=True)
def test_whose_hcr_a_memory_type_is_read_by_is_said(
    kvm: Kvm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """KVM forces write-back (HCR_EL2.FWB) for its machines, and a VHE host has that bit clear for itself."""
    ipa = kvm.pages[0].ipa
    with kvm.stopped(in_machine=True) as registers:
        its_own, _ = memory_of(capsys, as_source(kvm.host, registers, tmp_path), ipa)
    assert its_own == "Normal Write-Back whatever stage 1 says"
    with kvm.stopped(in_machine=False) as registers:
        source = as_source(kvm.host, registers, tmp_path)
        either, found = memory_of(capsys, source, ipa)
        told, _ = memory_of(capsys, source, ipa, "--with", "HCR_EL2.FWB=1")
    assert its_own in either
    assert "(FWB=0)" in either
    assert any("HCR_EL2 is not that of the guest of VTTBR_EL2" in note for note in found["notes"])
    assert told == its_own


@pytest.mark.full
@pytest.mark.parametrize("mode", [PROTECTED], ids=str, indirect=True)
def test_a_protected_host_is_a_guest_itself_and_each_is_shown_by_its_own_vmid(kvm: Kvm) -> None:
    """pKVM keeps its host under a second stage of VMID 0, one to one; a machine that is not protected is as ever."""
    with kvm.stopped(in_machine=False) as registers:
        assert VTTBR(registers["VTTBR_EL2"]).VMID == 0
        regime = ARM.regime_for(reader(registers), 0, "stage2")
        runs = [each for each in scan(regime, kvm.host.read) if isinstance(each, Run) and each.fault is None]
    assert runs
    assert all(run.first == run.output for run in runs)
