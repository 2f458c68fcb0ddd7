"""A real Xen on a cortex-a53, whose dom0's stage 2 is soft-invalid for the most part; the oracle is QEMU's walker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.registers.hypervisor import VTTBR
from gdbtools.arch.model import Mapped, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable
from tests.guests.packages import XENS, kernel
from tests.guests.test_linux import KERNEL
from tests.guests.xen import XenGuest
from tests.tables import reader

pytestmark = [pytest.mark.guest, pytest.mark.full]

ARM = ARCHITECTURES["aarch64"]
SAMPLES = 64


@pytest.fixture(scope="module", params=XENS)
def xen(request: pytest.FixtureRequest) -> Iterator[XenGuest]:
    try:
        with XenGuest(kernel("6.1-4k"), "cortex-a53", version=request.param) as guest:
            yield guest
    except Unavailable as why:
        pytest.skip(str(why))


@pytest.fixture
def stop(xen: XenGuest) -> Iterator[tuple[XenGuest, dict[str, int]]]:
    with xen.process(KERNEL), xen.stopped(el=1) as registers:
        yield xen, registers


def test_what_xen_made_soft_invalid_is_counted_apart_and_is_most_of_it(stop) -> None:
    guest, registers = stop
    regime = ARM.regime_for(reader(registers), 0, "stage2")
    runs = [each for each in scan(regime, guest.read) if isinstance(each, Run)]
    counts = [sum(run.leaves for run in runs if run.kind.soft_invalid is soft) for soft in (False, True)]
    assert counts[0] > 500, "what dom0 has used, and devices"
    assert counts[1] > 190_000, "what it has not"
    for run in runs:
        found = walk(regime, run.first, guest.read)
        assert (found.kept is not None) == run.kind.soft_invalid
        assert (found.kept or found).outcome == Mapped(run.output, run.leaf_bytes)


def test_hardware_reaches_what_is_mapped_and_nothing_that_is_soft_invalid(stop) -> None:
    guest, registers = stop
    regime = ARM.regimes(reader(registers), "el1")[-1]
    runs = [each for each in mappings_of(regime, guest.read) if isinstance(each, Run) and each.output is not None]
    for soft in (False, True):
        chosen = [run for run in runs if run.kind.soft_invalid is soft and (run.fault is None) is not soft]
        assert chosen
        for run in chosen[:: max(1, len(chosen) // SAMPLES)]:
            assert guest.gva2gpa(run.first) == (None if soft else run.output)


def test_while_no_guest_runs_4_20_has_an_empty_second_stage_that_is_nobody_s(xen: XenGuest) -> None:
    """4.17 leaves the last guest's in VTTBR_EL2; 4.20 loads a table without entries, by a VMID that no guest has."""
    with idle(xen) as registers:
        vmid = VTTBR(registers["VTTBR_EL2"]).VMID
        regime = ARM.regime_for(reader(registers), 0, "stage2")
        mapped = [each for each in scan(regime, xen.read) if isinstance(each, Run)]
    assert (vmid == 0) == (xen.version != "4.17")
    assert bool(mapped) == (vmid != 0)
    assert any("VMID 0, which need not be a guest's" in note for note in regime.notes) == (vmid == 0)


@contextmanager
def idle(xen: XenGuest) -> Iterator[dict[str, int]]:
    """Hold Xen where dom0 waits, as a shell does that nobody has asked anything."""
    time.sleep(1)
    with xen.stopped(el=2) as registers:
        yield registers
