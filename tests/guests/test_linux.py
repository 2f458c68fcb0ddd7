"""Real Linux kernels: our walk against QEMU's own walker, and against what the kernel says of its own tables.

The addresses are drawn anew in each run; the seed is printed, and GDBTOOLS_SEED=N repeats it.
"""

from __future__ import annotations

import os
import random
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from gdbtools.analysis.mappings import mappings
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Access, AccessKind, Fault, FaultKind, Mapped, Run, Walk
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable
from tests.guests.audits import PASSED, audited, checks_itself, unexplained
from tests.guests.build_kernel import CONFIGURATIONS, built
from tests.guests.linux import LinuxGuest, areas, pagemap
from tests.guests.packages import busybox, kernel, qemu
from tests.said import say

SEED = int(os.environ.get("GDBTOOLS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
ADDRESSES = int(os.environ.get("GDBTOOLS_LINUX_ADDRESSES", "6000"))
RUNS = int(os.environ.get("GDBTOOLS_LINUX_RUNS", "4000"))
ARM = ARCHITECTURES["aarch64"]
WORD_MASK = (1 << 64) - 1
PAN = 1 << 22
ACCESSED = 1 << 10
E0PD1, E2H_TGE = 1 << 56, 1 << 34 | 1 << 27
ASKS_NO_PERMISSION = 11
"""The QEMU whose gva2gpa minds no permission, as 7.2.22 and 10.0.2 do and 11.1.3 does not; E0PD counts in all."""

pytestmark = pytest.mark.guest


@dataclass(frozen=True)
class Shape:
    """A kernel on a CPU of a QEMU; where there is an EL2 and VHE, the kernel stays at EL2."""

    kernel: str
    cpu: str
    virtualization: bool = False
    qemu: str = "system"

    def __str__(self) -> str:
        return f"{self.kernel}-{self.cpu}{'-vhe' * self.virtualization}-{self.qemu}"

    @property
    def kernel_el(self) -> int:
        return 2 if self.virtualization else 1

    def guest(self) -> LinuxGuest:
        """Return the guest, not booted yet; raises `Unavailable` when a part of it cannot be had."""
        busybox()
        image = built(self.kernel) if self.kernel in CONFIGURATIONS else kernel(self.kernel)
        return LinuxGuest(image, self.cpu, self.virtualization, qemu=qemu(self.qemu))


SHAPES = (
    Shape("6.1-4k", "cortex-a57"),
    Shape("6.12-4k", "max"),
    Shape("6.12-16k", "neoverse-n1"),
    Shape("6.12-16k", "max"),
    Shape("6.1-4k", "neoverse-n1", virtualization=True),
    # QEMU 11.1's max has FEAT_S1PIE, and this kernel uses it.
    Shape("6.12-4k", "max", qemu="sid"),
)
FULL_SHAPES = (
    Shape("6.12-4k", "neoverse-n1", virtualization=True),
    Shape("6.12-16k", "neoverse-n1", virtualization=True),
    Shape("6.1-4k", "max", qemu="bookworm-backports"),
    Shape("6.12-4k", "max", qemu="bookworm-backports"),
    Shape("6.12-4k", "max", virtualization=True, qemu="bookworm-backports"),
    Shape("6.1-4k", "cortex-a57", qemu="sid"),
    Shape("6.12-4k", "max", virtualization=True, qemu="sid"),
    Shape("6.12-16k", "max", qemu="sid"),
)
OWN_SHAPES = (
    Shape("4k-39", "cortex-a57"),
    Shape("64k-48", "cortex-a57"),
    Shape("64k-48", "max", qemu="sid"),
    Shape("64k-52", "max", qemu="sid"),
)
"""Kernels that dump their own page tables."""
# What keeps the CPU at a level, so that a stop finds it there with the process's own tables.
USER, KERNEL = "while :; do :; done", "exec dd if=/dev/zero of=/dev/null bs=1M"


@pytest.fixture(
    scope="module",
    params=[*SHAPES, *(pytest.param(each, marks=pytest.mark.full) for each in FULL_SHAPES + OWN_SHAPES)],
    ids=str,
)
def shape(request: pytest.FixtureRequest) -> Shape:
    return request.param


@pytest.fixture(scope="module")
def guest(shape: Shape) -> Iterator[LinuxGuest]:
    try:
        guest = shape.guest()
    except Unavailable as why:
        pytest.skip(str(why))
    with guest:
        say(f"{shape}: QEMU {guest.qemu.version}, booted in {guest.boot_seconds:.1f} s, seed {SEED}")
        yield guest


@dataclass(frozen=True)
class Stop:
    """A guest that stands still."""

    guest: LinuxGuest
    registers: dict[str, int]
    known: tuple[int, ...]
    """Addresses that the kernel says something is at."""

    @property
    def el(self) -> int:
        return self.registers["cpsr"] >> 2 & 0b11

    @property
    def minds_permissions(self) -> bool:
        return int(self.guest.qemu.version.partition(".")[0]) < ASKS_NO_PERMISSION

    @property
    def upper_half_is_hidden(self) -> bool:
        host = self.registers.get("HCR_EL2", 0) & E2H_TGE == E2H_TGE
        return self.el == 0 and bool(self.registers["TCR_EL2" if host else "TCR_EL1"] & E0PD1)

    def register(self, name: str) -> int:
        try:
            return self.registers[name]
        except KeyError:
            raise Unavailable(f"this stub has no {name}") from None

    def walk(self, va: int, accessed: int | None = None) -> Walk:
        """Walk, as if the access flag of the descriptor at `accessed` were set."""

        def read(pa: int, size_bytes: int) -> bytes:
            data = self.guest.read(pa, size_bytes)
            if accessed is None or not pa <= accessed < pa + size_bytes:
                return data
            at = accessed - pa
            word = int.from_bytes(data[at : at + 8], "little") | ACCESSED
            return data[:at] + word.to_bytes(8, "little") + data[at + 8 :]

        return walk(ARM.regime_for(self.register, va), va, read)

    def load(self, va: int) -> int | None:
        """Where we say that a load by the CPU as it is leads; None where it faults.

        QEMU's gva2gpa looks at no access flag (measured: 7.2.22, 11.1.3), so here each counts as set.
        """
        found = self.walk(va)
        if isinstance(found.outcome, Fault) and found.outcome.kind is FaultKind.ACCESS_FLAG:
            assert found.leaf is not None
            found = self.walk(va, accessed=found.leaf.pa)
        refusal = ARM.check(found, Access(AccessKind.READ, self.el), ARM.state(self.register))
        if refusal is not None and (self.minds_permissions or refusal.fault.kind is not FaultKind.PERMISSION):
            return None
        assert isinstance(found.outcome, Mapped)
        return found.outcome.address

    def disagreements(self, addresses: Sequence[int], ours: Callable[[int], int | None]) -> tuple[list[str], Counter]:
        """Put the same addresses to QEMU's walker; what differs in words, and how much was compared."""
        differ, counted = [], Counter()
        for va in addresses:
            theirs, mine = self.guest.gva2gpa(va), ours(va)
            counted["mapped" if theirs is not None else "unmapped"] += 1
            if theirs != mine:
                differ.append(f"{va:#x}: QEMU {_hex(theirs)}, ours {_hex(mine)}: {describe(self.walk(va))}")
        return differ, counted


def describe(found: Walk) -> str:
    steps = "".join(
        f"\n    level {s.level.number} @ {s.pa:#x} {s.entry.word!r} {s.entry.kind.label}" for s in found.steps
    )
    return f"{found.outcome}{steps}"


def _hex(address: int | None) -> str:
    return "unmapped" if address is None else f"{address:#x}"


@pytest.fixture(params=("user", "kernel"))
def level(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def stop(guest: LinuxGuest, shape: Shape, level: str) -> Iterator[Stop]:
    """Hold the guest in a process's own code, or in the kernel on behalf of one."""
    with guest.process(USER if level == "user" else KERNEL) as pid:
        known = [each.first for each in areas(guest, pid)]
        known += [int(each, 16) for each in re.findall(r"^0x(\w+)-", guest.run("cat /proc/vmallocinfo"), re.MULTILINE)]
        with guest.stopped(pid) if level == "user" else guest.stopped(el=shape.kernel_el) as registers:
            yield Stop(guest, registers, tuple(known))


def near_what_is_mapped(stop: Stop, count: int) -> list[int]:
    """Draw addresses: near what the kernel and the registers point at, and anywhere."""
    draw = random.Random(SEED)
    named = ("pc", "sp", "SP_EL0", "SP_EL1", "VBAR_EL1", "VBAR_EL2", "ELR_EL1", *(f"x{n}" for n in range(31)))
    registers = [stop.registers[name] for name in named if name in stop.registers]
    # Small numbers in registers are no pointers, mostly.
    pointers = [each for each in registers if each >> 20]
    drawn = [*registers, *stop.known]
    while len(drawn) < count:
        near = draw.choice((pointers, stop.known))
        reach = 1 << draw.choice((16, 16, 21, 21, 30, 64))
        at = draw.choice(near) + draw.randrange(-reach, reach)
        drawn.append((at & ~0xFFF if draw.random() < 0.5 else at) & WORD_MASK)
    return drawn


def test_a_load_leads_where_qemus_own_walker_says(stop: Stop) -> None:
    differ, counted = stop.disagreements(near_what_is_mapped(stop, ADDRESSES), stop.load)
    say(f"at EL{stop.el} {counted['mapped']} mapped, {counted['unmapped']} unmapped")
    assert not differ, f"{len(differ)} of {counted.total()}: " + "\n".join(differ[:5])
    assert counted["mapped"] > 30


PRESENT, SWAPPED, FRAME = 1 << 63, 1 << 62, (1 << 55) - 1


def test_a_process_has_the_pages_that_the_kernel_says_it_has(guest: LinuxGuest) -> None:
    page_bytes = 1024 * int(re.findall(r"KernelPageSize: +(\d+) kB", guest.run("cat /proc/self/smaps"))[0])
    with guest.process(USER) as pid:
        # pagemap leaves out what is not memory of Linux's own (VM_PFNMAP): the vDSO's data.
        wanted = [area for area in areas(guest, pid) if not area.name.startswith("[vvar")]

        def pages() -> dict[int, int]:
            return {va: word for area in wanted for va, word in pagemap(guest, pid, area, page_bytes).items()}

        before = pages()
        with guest.stopped(pid) as registers:
            stop = Stop(guest, registers, ())
            found = {va: stop.walk(va) for va in before}
        after = pages()
    steady = {va: word for va, word in before.items() if after[va] == word and not word & SWAPPED}
    present = [va for va, word in steady.items() if word & PRESENT]
    say(f"pagemap: {len(present)} pages present, {len(steady) - len(present)} absent, of {page_bytes} bytes")
    assert len(present) > 10
    assert len(steady) > 0.9 * len(before)
    for va, word in steady.items():
        if not word & PRESENT:
            assert isinstance(found[va].outcome, Fault), f"{va:#x} is absent: {describe(found[va])}"
            assert found[va].outcome.kind is FaultKind.TRANSLATION, f"{va:#x} is absent: {describe(found[va])}"
            continue
        leaf = found[va].leaf
        assert leaf is not None, f"{va:#x} is present: {describe(found[va])}"
        assert found[va].outcome == Mapped((word & FRAME) * page_bytes, leaf.level.size_bytes) or (
            # Software may have a page wait for its first access.
            isinstance(found[va].outcome, Fault) and found[va].outcome.kind is FaultKind.ACCESS_FLAG
        ), f"{va:#x} is in frame {word & FRAME:#x}: {describe(found[va])}"


def test_the_map_is_what_qemus_own_walker_says(stop: Stop) -> None:
    runs = [each for each in mappings(ARM, stop.register, stop.guest.read) if isinstance(each, Run)]
    starts = [run.first for run in runs]
    assert all(one.last < two.first for one, two in pairwise(runs))

    def load(va: int) -> int | None:
        run = runs[max(0, bisect_right(starts, va) - 1)]
        untouched = run.fault is None or run.fault.kind is FaultKind.ACCESS_FLAG
        if not run.first <= va <= run.last or run.output is None or not untouched:
            return None
        rights = run.attributes.rights
        pan = stop.el > 0 and stop.registers["cpsr"] & PAN and rights[0].read
        readable = rights[stop.el].read and not pan
        if not stop.minds_permissions:
            readable = not (va >> 63 and stop.upper_half_is_hidden)
        return run.output + run.offset_of(va) if readable else None

    chosen = random.Random(SEED).sample(runs, min(RUNS, len(runs)))
    edges = [(run.first + at) & WORD_MASK for run in chosen for at in (-1, 0, run.size_bytes - 1, run.size_bytes)]
    # An address with a tag leads where it leads without; a map has it once.
    edges += [va for va in near_what_is_mapped(stop, ADDRESSES) if va >> 48 in (0, 0xFFFF)]
    differ, counted = stop.disagreements(edges, load)
    say(f"at EL{stop.el} {len(runs)} runs: {counted['mapped']} mapped, {counted['unmapped']} unmapped")
    assert not differ, f"{len(differ)} of {counted.total()}: " + "\n".join(differ[:5])
    assert counted["mapped"] > 30


DUMP = "/sys/kernel/debug/kernel_page_tables"
DUMPED = re.compile(r"^0x(\w+)-0x(\w+) +\d+[KMGTPE] (PUD|PMD|PTE) +((?:ro|RW|USR) .*)$", re.MULTILINE)
LEVELS = {"PUD": 1, "PMD": 2, "PTE": 3}
MEMORY = {
    "Device-nGnRnE": "DEVICE/nGnRnE",
    "Device-nGnRE": "DEVICE/nGnRE",
    "Normal Non-cacheable": "MEM/NORMAL-NC",
    "Normal Write-Back RW-allocate": "MEM/NORMAL",
}


@dataclass(frozen=True)
class Extent:
    """A range of one level and with the same attributes throughout, in the words of Linux's own dump."""

    first: int
    end: int
    level: int
    words: frozenset[str]

    def __str__(self) -> str:
        return f"{self.first:#x}-{self.end:#x} level {self.level} {' '.join(sorted(self.words))}"


def merged(extents: Iterable[Extent]) -> list[Extent]:
    """Join neighbours that are alike: the dump cuts at its section titles, a map where the output jumps."""
    joined: list[Extent] = []
    for each in extents:
        before = joined[-1] if joined else None
        if before and (before.end, before.level, before.words) == (each.first, each.level, each.words):
            each = Extent(before.first, each.end, each.level, each.words)
            joined.pop()
        joined.append(each)
    return joined


def dumped(text: str) -> Iterator[Extent]:
    for first, end, level, said in DUMPED.findall(text):
        # These kernels are built without MTE, so MAIR has the same for both.
        words = frozenset(said.replace("NORMAL-TAGGED", "NORMAL").split())
        # Only of cacheable memory does shareability say anything: all else is Outer Shareable.
        yield Extent(int(first, 16), int(end, 16), LEVELS[level], words if "MEM/NORMAL" in words else words - {"SHD"})


def as_dumped(run: Run) -> Extent:
    kernel, user = run.attributes.rights[1], run.attributes.rights[0]
    words = {
        "RW" if kernel.write else "ro": True,
        "x" if kernel.execute else "NX": True,
        MEMORY[run.attributes.memory]: True,
        "SHD": MEMORY[run.attributes.memory] == "MEM/NORMAL" and run.attributes.shareability == "Inner Shareable",
        "USR": user.read or user.write,
        "UXN": not user.execute,
        "AF": run.attributes.accessed,
        "NG": not run.attributes.is_global,
        "CON": run.attributes.contiguous,
        "GP": run.attributes.guarded,
        "BLK": run.kind.level < 3,
    }
    said = frozenset(word for word, applies in words.items() if applies)
    return Extent(run.first, run.first + run.size_bytes, run.kind.level, said)


@pytest.mark.full
@pytest.mark.parametrize("shape", OWN_SHAPES, ids=str, indirect=True)
def test_the_kernels_half_is_what_its_own_dump_says(guest: LinuxGuest, shape: Shape) -> None:
    # The shell reads the dump itself and keeps it open, so no process comes or goes and its buffer stays mapped.
    guest.run(f"exec 3< {DUMP}")
    try:
        theirs = merged(dumped(guest.run('while IFS= read -r each <&3; do echo "$each"; done')))
        with guest.stopped(el=shape.kernel_el) as registers:
            stop = Stop(guest, registers, ())
            runs = [each for each in mappings(ARM, stop.register, guest.read) if isinstance(each, Run)]
    finally:
        guest.run("exec 3<&-")
    ours = merged(as_dumped(run) for run in runs if run.first >> 63)
    say(f"kernel_page_tables: {len(theirs)} extents, {sum(each.end - each.first for each in theirs) >> 20} MiB")
    assert len(theirs) > 10
    differ = sorted({*ours} ^ {*theirs}, key=lambda each: each.first)
    assert not differ, "\n".join(f"{'dump' if each in theirs else 'ours'} {each}" for each in differ[:10])


def test_an_audit_finds_nothing_but_the_pools_that_the_kernel_says_it_has(guest: LinuxGuest) -> None:
    """What a DMA device without coherence may be given is mapped twice: Non-cacheable, and by the linear map."""
    sizes = guest.run("cat /sys/kernel/debug/dma_pools/pool_size_* 2>/dev/null; true").split()
    assert all(line.endswith(PASSED) for line in checks_itself(guest).splitlines())
    with guest.stopped() as registers:
        found = audited(guest, "aarch64", registers)
    pools = [each for each in found.findings if each.rule.name == "mismatched-attributes"]
    assert unexplained(found, mismatched_attributes=len(pools)) == []
    assert all("Non-cacheable" in each.said for each in pools)
    assert sum(each.size_bytes for each in pools) == sum(map(int, sizes))
    asked = {each.rule.name: each for each in found.checked if not each.unasked}
    assert asked["executable-linear-map"].examined > 100
    assert asked["writable-table"].explained, "a kernel writes its tables"
