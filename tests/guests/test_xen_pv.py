"""A real paravirtual guest: Xen's table of frames against the guest's own, and what an audit finds that was planted."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gdbtools import systems
from gdbtools.addresses import PA, VA
from gdbtools.analysis.audit import paravirtual
from gdbtools.analysis.audit.findings import Checked, Finding
from gdbtools.analysis.audit.paravirtual import GuestSurvey
from gdbtools.analysis.isolation import isolation
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Mapped, Stub, Walk
from gdbtools.arch.walk import walk
from gdbtools.cli import main
from gdbtools.errors import Unavailable
from gdbtools.systems.guest_frames import FrameMark, GuestFrames, NumberedFrame
from gdbtools.systems.xen.paravirtual import XenGuest
from tests.guests.linux import FRAME, PRESENT, areas, pagemap
from tests.guests.test_x86_linux import inside_gdb, results
from tests.guests.x86.linux import PAGE_BYTES
from tests.guests.x86.xen import DOM0_BYTES, PvGuest, booted_pv
from tests.said import say
from tests.tables import reader

pytestmark = pytest.mark.guest

X86 = ARCHITECTURES["x86_64"]
WRITABLE = 1 << 1
KERNEL_HALF = 1 << 63
LINEAR_MAP = 0xFFFF_8880_0000_0000
"""Linux's own, where it is not randomized: Documentation/arch/x86/x86_64/mm.rst; a PV guest's never is."""
XEN_TEXT = range(0xFFFF_82D0_4000_0000, 0xFFFF_82D0_8000_0000)
HOLDS_PAGES = "x=$(head -c 4200000 /dev/zero | tr '\\000' a); : > /held; while :; do :; done"


@pytest.fixture(scope="module")
def guest() -> Iterator[PvGuest]:
    try:
        guest = booted_pv()
        with guest:
            say(f"QEMU {guest.qemu.version}, dom0 booted in {guest.boot_seconds:.1f} s")
            yield guest
    except Unavailable as why:
        pytest.skip(str(why))


@dataclass
class Stop:
    """A guest that stands still: its registers, and what is found of it."""

    guest: PvGuest
    registers: Mapping[str, int]

    def frames(self) -> XenGuest:
        found = systems.guest_frames(X86, reader(self.registers), self.guest.read)
        assert isinstance(found, XenGuest)
        return found

    def walk(self, va: int, **registers: int) -> Walk:
        regime = X86.regime_for(reader({**self.registers, **registers}), VA(va))
        return walk(regime, VA(va), self.guest.read)

    def survey(self) -> GuestSurvey:
        return paravirtual.survey(X86, reader(self.registers), self.guest.read, self.frames())

    @contextmanager
    def written(self, pa: int, value: int) -> Iterator[None]:
        """Have a descriptor otherwise for as long as the guest stands still."""
        before = self.guest.ram[pa : pa + 8]
        self.guest.ram[pa : pa + 8] = value.to_bytes(8, "little")
        try:
            yield
        finally:
            self.guest.ram[pa : pa + 8] = before


def checks(found: GuestSurvey) -> list[Checked]:
    """Return what every rule says of what was looked at."""
    return [check(found) for check in paravirtual.CHECKS.values()]


def findings(found: GuestSurvey) -> list[Finding]:
    return [finding for checked in checks(found) for finding in checked.findings]


@contextmanager
def stopped(guest: PvGuest) -> Iterator[Stop]:
    guest.stop()
    try:
        registers = guest.registers()
        stub = Stub(0, registers.get, guest.monitor, str)
        shown = {name: X86.from_stub(name, stub) for name in ("idtr", "tr")}
        yield Stop(guest, {**registers, **{name: value for name, value in shown.items() if value is not None}})
    finally:
        guest.cont()


def until(guest: PvGuest, wanted: str, seconds: float = 60) -> Iterator[Stop]:
    """Yield stops of one kind, for as long as they are asked for: in a `process`, in its `kernel`, or in `xen`."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with stopped(guest) as stop:
            rip, ring = stop.registers["rip"], stop.registers["cs"] & 3
            if wanted == ("process" if rip < KERNEL_HALF else "kernel" if ring else "xen"):
                yield stop
        time.sleep(0.01)
    pytest.fail(f"no stop was in {wanted} for {seconds} s")


@pytest.fixture(scope="module")
def held(guest: PvGuest) -> Iterator[int]:
    """A process that holds memory and never sleeps."""
    with guest.process(HOLDS_PAGES) as pid:
        guest.run("until test -e /held; do sleep 1; done")
        yield pid


def test_both_tables_agree_on_every_frame_of_the_guest(guest: PvGuest, held: int) -> None:
    with stopped(guest) as stop:
        frames = stop.frames()
        table, owned = frames.parts.table, 0
        for pseudo in range(table.count):
            machine = table.machine(pseudo)
            if machine is None or table.is_identity(pseudo):
                continue
            known = frames.of(machine)
            assert (known.pseudo, known.mark) == (pseudo, FrameMark.OWN), hex(pseudo)
            owned += 1
    assert owned == DOM0_BYTES // PAGE_BYTES


def test_a_thousand_pages_are_where_pagemap_says_and_where_the_tables_hold_them(guest: PvGuest, held: int) -> None:
    """The guest says pseudo-physical frames, its tables the machine's; both tables of frames lead from one to other."""
    said = {va: word for area in areas(guest, held) for va, word in pagemap(guest, held, area, PAGE_BYTES).items()}
    wanted = {va: word & FRAME for va, word in said.items() if word & PRESENT}
    assert len(wanted) > 1000
    for stop in until(guest, "process"):
        frames, found = stop.frames(), {}
        for va in wanted:
            outcome = stop.walk(va).outcome
            if isinstance(outcome, Mapped):
                found[va] = outcome.address // PAGE_BYTES
        if found.keys() != wanted.keys():
            continue  # another process
        assert {va: frames.of(machine).pseudo for va, machine in found.items()} == wanted
        assert {va: frames.parts.table.machine(pseudo) for va, pseudo in wanted.items()} == found
        assert all(frames.of(machine).mark is FrameMark.OWN for machine in found.values())
        return


def test_a_processs_root_lacks_the_kernel_and_its_partner_is_proven(guest: PvGuest, held: int) -> None:
    """The partner is the root that the same process has in its kernel: a stop there shows it."""
    for stop in until(guest, "process"):
        found = isolation(X86, reader(stop.registers), guest.read)
        assert found is not None
        assert found.full is not None
        assert isinstance(stop.walk(LINEAR_MAP).outcome, Mapped) is False
        assert isinstance(walk(found.full, VA(LINEAR_MAP), guest.read).outcome, Mapped)
        partner = int(found.full.root)
        assert stop.frames().kernel == {"cr3": partner}
        break
    for stop in until(guest, "kernel"):
        assert isolation(X86, reader(stop.registers), guest.read) is None
        if int(stop.frames().parts.regime.root) == partner:
            return


def test_xens_own_stop_is_of_the_guest_too_whose_tables_are_in_force(guest: PvGuest) -> None:
    for stop in until(guest, "xen"):
        assert stop.registers["rip"] in XEN_TEXT
        frames = stop.frames()
        assert frames.title == "d0, a paravirtual guest of Xen"
        assert frames.of(int(frames.parts.shared.root) // PAGE_BYTES).mark is FrameMark.OWN
        return


def test_past_the_end_of_the_machines_table_nothing_is_guessed_and_its_size_is_said(guest: PvGuest) -> None:
    with stopped(guest) as stop:
        frames = stop.frames()
        places = frames.parts.m2p.places()
        count = sum(each[1] for each in places)
        beyond = frames.of(count)
        assert (beyond.pseudo, beyond.mark) == (None, FrameMark.DEVICE)
        assert "past the end" in beyond.said
        assert any(f"{count} frames" in limit for limit in frames.limits)
        # As many as the memory has, in leaves of 2 MiB.
        assert count >= guest.memory_bytes // PAGE_BYTES


def test_an_untouched_guest_breaks_no_rule_and_what_looks_strange_is_explained(guest: PvGuest, held: int) -> None:
    with stopped(guest) as stop:
        checked = {each.rule.name: each for each in checks(stop.survey())}
    say(f"{sum(each.examined for each in checked.values())} asked of {len(checked)} rules")
    assert [each for one in checked.values() for each in one.findings] == []
    assert checked["foreign-frame"].examined > DOM0_BYTES // PAGE_BYTES
    explained = checked["foreign-frame"].explained
    assert any("device: DOMID_IO" in each for each in explained)
    assert any("shared by the hypervisor" in each for each in explained)


def test_the_linear_map_is_found_without_symbols_and_its_tables_are_read_only(guest: PvGuest) -> None:
    with stopped(guest) as stop:
        found = stop.survey()
        linear, pages = paravirtual.linear_map_of(found)
        assert linear is not None
        assert linear.base == LINEAR_MAP
        assert linear.size_bytes == DOM0_BYTES
        assert not any(each.writable for each in pages)
        tables = {pa // PAGE_BYTES for pa in found.looked.tables}
        assert sum(each.size_bytes for each in pages) // PAGE_BYTES >= len(tables) > 100


def table_page(stop: Stop, frames: GuestFrames) -> tuple[int, Walk]:
    """Return the machine frame of a table, and the walk to it in the linear map."""
    frame = next(frame for frame, each in sorted(frames.protected().items()) if each.level == 1)
    pseudo = frames.of(frame).pseudo
    assert pseudo is not None
    found = stop.walk(LINEAR_MAP + pseudo * PAGE_BYTES, **frames.kernel)
    assert found.leaf is not None
    return frame, found


def test_a_table_page_made_writable_in_the_linear_map_is_the_one_finding(guest: PvGuest) -> None:
    with stopped(guest) as stop:
        frame, found = table_page(stop, stop.frames())
        leaf = found.leaf
        assert leaf is not None
        with stop.written(leaf.pa, int(leaf.entry.word) | WRITABLE):
            looked = stop.survey()
            planted = findings(looked)
            linear, pages = paravirtual.linear_map_of(looked)
        assert linear is not None
        assert [each.first for each in pages if each.writable] == [found.input]
    (only,) = planted
    assert only.entry is not None
    assert (only.rule.name, only.first, only.entry.pa) == ("writable-table", found.input, leaf.pa)
    assert only.output == frame * PAGE_BYTES
    assert any("level 1 table" in each for each in only.evidence)


def test_a_writable_alias_of_a_table_anywhere_else_is_the_one_finding(guest: PvGuest, held: int) -> None:
    """In a process's own memory, where a leaf leads to a table of the kernel's."""
    for stop in until(guest, "process"):
        frames = stop.frames()
        frame, _ = table_page(stop, frames)
        leaf = stop.walk(stop.registers["rsp"]).leaf
        assert leaf is not None
        word = int(leaf.entry.word)
        with stop.written(leaf.pa, word & ~(FRAME & -PAGE_BYTES) | word & 0xFFF | frame * PAGE_BYTES):
            planted = findings(stop.survey())
        assert [(each.rule.name, each.first, each.output) for each in planted] == [
            ("writable-table", stop.registers["rsp"] & -PAGE_BYTES, frame * PAGE_BYTES)
        ]
        return


def test_a_foreign_frame_is_the_one_finding_and_says_whose_it_is(guest: PvGuest) -> None:
    with stopped(guest) as stop:
        frames = stop.frames()
        parts = frames.parts
        # Memory that Xen has for itself: the frame of its record of this guest.
        foreign = parts.domain.owner
        pseudo = next(
            pseudo
            for pseudo in range(0x8000, parts.table.count)  # behind the kernel's own image, which has two addresses
            if (machine := parts.table.machine(pseudo)) is not None and frames.of(machine).use == "writable"
        )
        va = LINEAR_MAP + pseudo * PAGE_BYTES
        leaf = stop.walk(va, **frames.kernel).leaf
        assert leaf is not None
        word = int(leaf.entry.word)
        with stop.written(leaf.pa, word & ~(((1 << 52) - 1) & -PAGE_BYTES) | foreign * PAGE_BYTES):
            planted = findings(stop.survey())
            shown = stop.frames().of(foreign)
    places = [(each.rule.name, each.first, each.entry and each.entry.pa) for each in planted]
    assert places == [("foreign-frame", va, leaf.pa)]
    assert planted[0].output == PA(foreign * PAGE_BYTES)
    assert (shown.mark, shown.pseudo) == (FrameMark.HYPERVISORS, None)
    assert "Xen's heap" in shown.use


@dataclass(frozen=True)
class Granting:
    """Where a process of dom0 has another domain's pages, by a grant and without, and one that dom0 grants itself."""

    granted: int
    mapped: int
    own: int
    frames: tuple[int, int]
    references: tuple[int, int]

    def seen_by(self, stop: Stop) -> dict[int, NumberedFrame]:
        """Return the frame of each page, by the one root that has them all."""
        frames = stop.frames()
        for root in frames.roots():
            found = [stop.walk(va, cr3=root.pa).outcome for va in (self.granted, self.mapped, self.own)]
            places = [int(each.address) // PAGE_BYTES for each in found if isinstance(each, Mapped)]
            if len(places) == len(found):
                return dict(zip((self.granted, self.mapped, self.own), map(frames.of, places), strict=True))
        raise AssertionError("no root has the pages of the process")


@pytest.fixture(scope="module")
def granting(guest: PvGuest) -> Iterator[Granting]:
    with guest.process("granting > /granted"):
        said = guest.run("until grep -q 'own\\|failed' /granted; do sleep 1; done; cat /granted")
        pages = re.findall(r"0x([0-9a-f]{16})", said)
        assert len(pages) == 7, said
        granted, frame, reference, mapped, another, own, of_own = (int(each, 16) for each in pages)
        yield Granting(granted, mapped, own, (frame, another), (reference, of_own))


def test_a_granted_frame_is_told_from_one_that_only_a_privilege_maps(guest: PvGuest, granting: Granting) -> None:
    """By Xen's own entries: the process has both from a domain that it made, and that never ran."""
    with stopped(guest) as stop:
        seen = granting.seen_by(stop)
    granted, mapped = seen[granting.granted], seen[granting.mapped]
    assert (granted.machine, mapped.machine) == granting.frames
    assert (granted.mark, granted.pseudo) == (FrameMark.GRANTED, None)
    assert granted.said == f"by d1, reference {granting.references[0]}, writable"
    assert (mapped.mark, mapped.pseudo) == (FrameMark.OTHERS, None)
    assert mapped.said == "memory of d1, of which no grant is in use: only a privilege maps it"


def test_a_frame_of_its_own_that_the_guest_has_granted_says_to_whom(guest: PvGuest, granting: Granting) -> None:
    with stopped(guest) as stop:
        own = granting.seen_by(stop)[granting.own]
    assert own.mark is FrameMark.OWN
    assert own.said == f"granted to d0, reference {granting.references[1]}, writable"


def test_an_audit_explains_what_is_granted_and_by_whom(guest: PvGuest, granting: Granting) -> None:
    with stopped(guest) as stop:
        found = paravirtual.foreign_frame(stop.survey())
    assert found.findings == ()
    assert any("granted: by d1" in each for each in found.explained)
    assert any("another domain's: memory of d1" in each for each in found.explained)


def test_inside_gdb_walk_map_and_audit_have_both_numbers(guest: PvGuest, held: int) -> None:
    wanted = f"{LINEAR_MAP:#x}"
    said = inside_gdb(
        guest,
        f"mmu walk {wanted} --space pv --json",
        f"mmu map {wanted},+2M --space pv --json",
        "mmu audit --json",
        "mmu status --json",
    )
    walked, mapped, audited, status = results(said)
    output = walked["guest_frames"]["frames"][-1]
    assert (output["of"], int(output["guest_frame"], 16), output["mark"]) == ("output", 0, "own")
    assert int(output["machine_frame"], 16) * PAGE_BYTES == int(walked["output"], 16)
    marks = {run["mark"] for run in mapped["runs"]}
    assert marks == {"own", "device"}
    for run in mapped["runs"]:
        assert int(run["guest_frame"], 16) * PAGE_BYTES == int(run["first"], 16) - LINEAR_MAP
    assert audited["findings"] == []
    assert int(audited["linear_map"]["base"], 16) == LINEAR_MAP
    assert status["guest_frames"]["guest"].startswith("d0")


def test_a_fault_that_xen_passes_on_has_its_address_from_the_virtual_cpu(guest: PvGuest) -> None:
    """At the guest's own handler, in ring 3: cr2 is Xen's, and the error code that of a processor but for U."""
    for stop in until(guest, "kernel"):
        frames = stop.frames()
        handler = frames.parts.domain.handler(frames.parts.vcpus[0], 14)
        break
    assert handler is not None
    guest.run("(while :; do /bin/busybox true; done) & echo $! > /load")
    try:
        said = inside_gdb(
            guest, f"hbreak *{handler:#x}", *(["continue", "mmu fault --json", "mmu fault"] * 3), "delete"
        )
    finally:
        guest.run("kill -9 $(cat /load)")
    found = results(said)
    assert len(found) == 3, said
    for each in found:
        assert each["vector_entry"] == "#PF"
        assert each["verdict"] == "tables agree"
        assert "virtual CPU's information" in each["passed_on"][0]
        assert int(each["walk"]["input"], 16) == int(each["address"], 16)
    assert re.search(r"passed on +the address is in the virtual CPU", said)


@pytest.mark.full
def test_a_dump_of_it_is_audited_as_the_guest_is(
    guest: PvGuest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = tmp_path / "dump"
    guest.dump(dump)
    assert main(["audit", "-s", str(dump), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["result"]
    assert answer["findings"] == []
    assert int(answer["linear_map"]["base"], 16) == LINEAR_MAP
