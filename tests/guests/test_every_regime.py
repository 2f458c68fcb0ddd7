"""Every regime against the hardware's own walker: AT from EL3, where the state of EL2 and EL1 may be anything.

Each run draws new states; the seed is printed, and GDBTOOLS_SEED=N repeats it. GDBTOOLS_ORACLE_STATES sets how many
are drawn for each configuration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, VTCR_EL2
from gdbtools.arch.aarch64.registers.identification import ID_AA64MMFR1_EL1
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.tables.memory_types import effective_shareability
from gdbtools.arch.aarch64.translation.stage1 import Stage1, Stage1Leaf
from gdbtools.arch.aarch64.translation.stage1_off import Stage1Off
from gdbtools.arch.aarch64.translation.stage2 import Stage2, memory_of_both
from gdbtools.arch.model import Access, AccessKind, Cause, Fault, FaultKind, Refusal, Walk
from gdbtools.arch.walk import walk
from gdbtools.bits import Field, Word
from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.guests.oracle import Answer, Operation, Oracle, Outcome, Request, missing
from tests.guests.packages import QEMU_SUITES
from tests.guests.states import SEED, STATES, TWO_STAGES, Drawing, State, counting, ends_qemu_7, version_of
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
PAN = 1 << 22
OUTER_SHAREABLE = 0b10
DEVICE_nGnRE, DEVICE_nGRE, DEVICE_GRE = 0x04, 0x08, 0x0C
PERMISSION = 0b001100
"""The fault status code of a Permission fault, without its level."""
MODES = {
    "cortex-a57": ("el1", "two", "el2"),
    "max": ("el1", "two", "secure", "el2", "el2-vhe", "host"),
}

pytestmark = [pytest.mark.guest, pytest.mark.skipif(bool(missing()), reason=missing())]


class Translated(Word):
    """PAR_EL1 of a translation that worked (PAR_EL1, F=0)."""

    ATTR = Field((63, 56))
    PA = Field((51, 12), scale=1 << 12)
    SH = Field((8, 7))
    F = Field(0)


class Aborted(Word):
    """PAR_EL1 of a translation that did not (PAR_EL1, F=1)."""

    S = Field(9)
    PTW = Field(8)
    FST = Field((6, 1))
    F = Field(0)


@pytest.fixture(
    scope="module", params=[(name, cpu) for name in ("system", *QEMU_SUITES) for cpu in MODES], ids="-".join
)
def oracle(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    name, cpu = request.param
    try:
        qemu = packages.qemu(name)
    except Unavailable as missing:
        pytest.skip(str(missing))
    with Oracle(cpu, level=3, qemu=qemu) as oracle:
        yield oracle


def memory_attributes(walk: Walk) -> tuple[int | None, int]:
    """Return what PAR_EL1 reports of a stage 1 walk alone: the MAIR attribute and the effective shareability."""
    regime = walk.regime
    if isinstance(regime, Stage1Off):
        return regime.memory()
    assert isinstance(regime, Stage1)
    assert walk.leaf is not None
    leaf = walk.leaf.entry.word
    assert isinstance(leaf, Stage1Leaf)
    return regime.memory(leaf)


def par_of(found: Walk, refusal: Refusal | None, request: Request) -> Word:
    """What PAR_EL1 has to say of a walk and its check."""
    if refusal is not None:
        status = ARM.status(refusal.fault)
        assert status is not None
        fault = refusal.fault
        return Aborted(0).with_(F=1, FST=status, S=int(fault.stage == 2), PTW=int(fault.s1ptw))
    destination = found.destination
    assert destination is not None
    attr, sh = memory_attributes(found)
    assert attr is not None
    address = destination.address
    if request.operation in BOTH and found.final is not None:
        end = found.final.destination
        assert end is not None
        address = end.address
        attr, sh = memory_of_both(attr, sh, found.final)
    return Translated(0).with_(PA=address & ~0xFFF, ATTR=attr, SH=sh)


def meaningful(par: int) -> Word:
    if Aborted(par).F:
        aborted = Aborted(par)
        return Aborted(0).with_(F=1, FST=aborted.FST, S=aborted.S, PTW=aborted.PTW)
    translated = Translated(par)
    return Translated(0).with_(PA=translated.PA, ATTR=translated.ATTR, SH=translated.SH)


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    yield from counting("every regime")


WRITES = (
    Operation.AT_S1E1W,
    Operation.AT_S1E0W,
    Operation.AT_S1E1WP,
    Operation.AT_S12E1W,
    Operation.AT_S12E0W,
    Operation.AT_S1E2W,
)
USER = (Operation.AT_S1E0R, Operation.AT_S1E0W, Operation.AT_S12E0R, Operation.AT_S12E0W)
BOTH = (Operation.AT_S12E1R, Operation.AT_S12E1W, Operation.AT_S12E0R, Operation.AT_S12E0W)
HYPERVISOR = (Operation.AT_S1E2R, Operation.AT_S1E2W)
WITH_PAN = (Operation.AT_S1E1RP, Operation.AT_S1E1WP)


def operations(state: State, pan2: bool) -> list[tuple[Operation, int]]:
    if state.mode in ("el2", "el2-vhe"):
        return [(each, 0) for each in HYPERVISOR]
    asked = [(each, 0) for each in (Operation.AT_S1E1R, Operation.AT_S1E1W, Operation.AT_S1E0R, Operation.AT_S1E0W)]
    if state.mode in TWO_STAGES:
        asked += [(each, 0) for each in BOTH]
    if pan2:
        asked += [(each, pan) for each in WITH_PAN for pan in (0, PAN)]
    return asked


def predict(oracle: Oracle, state: State, request: Request) -> tuple[Walk, Refusal | None]:
    registers = {**oracle.identity, "HCRX_EL2": 1 << 14, **state.registers, "cpsr": 5}
    regime_name = {"el1": "el1", "two": "el1", "secure": "el1", "el2": "el2", "el2-vhe": "el2-vhe", "host": "el2-vhe"}[
        state.mode
    ]
    operation = request.operation
    found = walk(ARM.regime_for(reader(registers), request.va, regime_name), request.va, oracle.read)
    kind = AccessKind.WRITE if operation in WRITES else AccessKind.READ
    user = operation in USER
    el = 0 if user else {"el1": 1, "el2": 2, "el2-vhe": 2}[regime_name]
    if operation in BOTH:
        return found, ARM.check(found, Access(kind, el), request.pstate)
    # Without stage 2 of the output: AT S1* asks stage 1 alone, whose table fetches go through stage 2 all the same.
    if isinstance(found.regime, Stage1):
        return found, found.regime.check(found, kind, user, SPSR(request.pstate))
    return found, found.refusal


@dataclass(frozen=True)
class Case:
    """One question, what we say, and what PAR_EL1 said."""

    state: State
    request: Request
    found: Walk
    refusal: Refusal | None
    expected: Word
    got: Word

    @property
    def cause(self) -> Cause | None:
        return self.refusal.decider.cause if self.refusal else None

    @property
    def hcr(self) -> HCR_EL2:
        return HCR_EL2(self.state.registers["HCR_EL2"])


def _own_shareability(case: Case) -> bool:
    if not (isinstance(case.expected, Translated) and isinstance(case.got, Translated)):
        return False
    return case.expected.with_(SH=0) == case.got.with_(SH=0) and case.expected.SH == OUTER_SHAREABLE


def _stage_1_level(case: Case) -> bool:
    """The same fault, at the level of the stage 1 lookup: stage 2 refused to read the descriptor, or to set its AF."""
    if not (isinstance(case.expected, Aborted) and isinstance(case.got, Aborted)):
        return False
    if case.refusal is None or not case.refusal.fault.s1ptw:
        return False
    looked_up = case.found.fetch or case.found.steps[-1]
    status = ARM.status(Fault(case.refusal.fault.kind, 2, looked_up.level.number))
    return case.got == case.expected.with_(FST=status or 0)


def _level_0(case: Case) -> bool:
    return case.cause is VMSACause.DEVICE_WALK and isinstance(case.got, Aborted) and case.got.FST & ~0b11 == PERMISSION


def _clean(found: Walk) -> bool:
    """Return whether a leaf, at either stage, would be made dirty by a write."""
    stages = (found, found.final)
    return any(each and each.leaf and each.regime.attributes(each.steps).dirty is False for each in stages)


def _not_updated(case: Case) -> bool:
    """A leaf that hardware would set the access flag of, or make dirty, as if it never did."""
    if case.refusal is not None and case.refusal.fault.s1ptw and case.found.fetch is None:
        return True
    denied = isinstance(case.got, Aborted) and case.got.FST & ~0b11 == PERMISSION
    return denied and _clean(case.found) and case.request.operation in WRITES


def _allowed_though_clean(case: Case) -> bool:
    """With permission indirection, AT S1*W of a leaf that is not dirty and that hardware does not make dirty."""
    return case.cause is VMSACause.NOT_DIRTY


def _short_output(case: Case) -> bool:
    """Bits [51:48] (FEAT_LPA) or [51:50] (FEAT_LPA2) of an output as if they were RES0 unless the size is 52 bits."""
    field = case.refusal.decider.field if case.refusal else None
    large = case.cause in (VMSACause.OUTPUT_TOO_LARGE, VMSACause.TABLE_TOO_LARGE)
    return large and field is not None and field.spans[0] in ((15, 12), (9, 8))


def _mistaken_device(case: Case) -> bool:
    """Device at one stage and Normal, inner Non-cacheable, at the other: that 0b0100 is taken for Device-nGnRE."""
    if not (isinstance(case.expected, Translated) and isinstance(case.got, Translated)):
        return False
    same = case.expected.with_(ATTR=0) == case.got.with_(ATTR=0)
    return bool(same and case.got.ATTR == DEVICE_nGnRE and case.expected.ATTR in (DEVICE_nGRE, DEVICE_GRE))


def _cached_all_the_same(case: Case) -> bool:
    """HCR_EL2.CD makes Normal memory Non-cacheable, whatever FWB says."""
    return isinstance(case.got, Translated) and bool(case.hcr.CD and case.hcr.FWB) and case.expected.ATTR == 0x44


def _stage_2_by_output_size(case: Case) -> bool:
    """Stage 2 is measured by VTCR_EL2.PS where the manual measures it by what the PE has."""
    below = case.found.regime.below
    if not isinstance(below, Stage2) or not (isinstance(case.got, Aborted) and case.got.S):
        return False
    # And at 16KB it never starts at level 0, at level -1 only with all of 52 bits.
    least = {(12, 0): 43, (14, 0): 53, (14, 1): 41, (16, 1): 43}.get((below.granule_bits, below.start), 0)
    if below.start == -1 and below.input_bits != 52:
        return True
    return below.input_bits > below.output_bits or below.output_bits < least


def _shareability_of_the_descriptor(case: Case) -> bool:
    """Device or Non-cacheable at stage 1, made Write-Back by stage 2 under HCR_EL2.FWB."""
    if not (isinstance(case.expected, Translated) and isinstance(case.got, Translated) and case.hcr.FWB):
        return False
    attr, _ = memory_attributes(case.found)
    was_outer = attr is not None and effective_shareability(attr, 0) == OUTER_SHAREABLE
    return was_outer and case.expected.with_(SH=0) == case.got.with_(SH=0) and case.expected.SH == OUTER_SHAREABLE


def _device_of_stage_2(case: Case) -> bool:
    """With HCR_EL2.FWB, Device at both stages: the stricter one, not stage 2's."""
    if not (isinstance(case.expected, Translated) and isinstance(case.got, Translated)):
        return False
    same = case.expected.with_(ATTR=0) == case.got.with_(ATTR=0)
    return bool(same and case.hcr.FWB and case.expected.ATTR < case.got.ATTR <= 0x0F)


@dataclass(frozen=True)
class Departure:
    """Where QEMU is known to depart from the manual, and in which versions; everything else has to agree."""

    what: str
    rule: str
    """What the manual has instead, and where."""
    versions: tuple[str, ...]
    applies: Callable[[Case], bool]


ALL = ("7.2", "10.0", "11.1")
DEPARTURES = (
    Departure(
        "a block at a level whose granule allows none is taken for a block",
        "it is a Translation fault: AArch64.BlockDescSupported",
        ("7.2",),
        lambda case: case.cause is VMSACause.BLOCK_NOT_ALLOWED,
    ),
    Departure(
        "PAR_EL1.SH of Device and Non-cacheable memory is the descriptor's",
        "it is Outer Shareable: PAR_EL1.SH",
        ("7.2",),
        _own_shareability,
    ),
    Departure(
        "a stage 2 fault on a stage 1 walk has the level of the stage 1 lookup",
        "it has the level of the stage 2 lookup: AArch64.S1Walk gives stage 2's fault unchanged",
        ("7.2",),
        _stage_1_level,
    ),
    Departure(
        "HCR_EL2.TGE with E2H clear does not turn stage 1 off for AT",
        "SCTLR_EL1.M counts as 0: HCR_EL2.TGE, AArch64.S1Enabled",
        ALL,
        lambda case: bool(case.hcr.TGE and not case.hcr.E2H),
    ),
    Departure(
        "HCR_EL2.PTW faults at another level than stage 2's lookup",
        "it has the level of the stage 2 lookup: AArch64.S2CheckPermissions",
        ALL,
        _level_0,
    ),
    Departure(
        "AT does not count on hardware to update a leaf",
        "AP[2] and S2AP[1] count as updated under HD, and setting AF may fault at stage 2: AArch64.S1ApplyOutputPerms",
        ("10.0", "11.1"),
        _not_updated,
    ),
    Departure(
        "AT S1*W of a leaf that is not dirty is allowed",
        "under permission indirection without HD it is a Permission fault: AArch64.S1CheckPermissions",
        ("11.1",),
        _allowed_though_clean,
    ),
    Departure(
        "the bits for [51:48] or [51:50] of an output are ignored below 52 bits",
        "they count, so that the address is out of range: AArch64.LeafBase, AArch64.OAOutOfRange",
        ALL,
        _short_output,
    ),
    Departure(
        "stage 2 is measured by VTCR_EL2.PS",
        "it is measured by ID_AA64MMFR0_EL1.PARange: AArch64.S2InvalidSL, AArch64.S2MinTxSZ",
        ("7.2",),
        _stage_2_by_output_size,
    ),
    Departure(
        "a stage 2 input size beyond PARange is not refused",
        "CONSTRAINED UNPREDICTABLE: a Translation fault, or the size that there is: VTCR_EL2.T0SZ",
        ("10.0", "11.1"),
        lambda case: case.cause is VMSACause.RANGE_SIZE and case.refusal is not None and case.refusal.fault.stage == 2,
    ),
    Departure(
        "VTCR_EL2.S2PIE does not count in Secure state",
        "VSTCR_EL2 has none of its own, and takes VTCR_EL2's: AArch64.GetS2TTWParams",
        ("11.1",),
        lambda case: case.state.mode == "secure" and bool(VTCR_EL2(case.state.registers["VTCR_EL2"]).S2PIE),
    ),
    Departure(
        "Device with Normal inner Non-cacheable is taken for Device-nGnRE",
        "it is the one Device type there is: S2CombineS1MemAttrs",
        ALL,
        _mistaken_device,
    ),
    Departure(
        "Device or Non-cacheable of stage 1 that FWB makes Write-Back has the shareability of its descriptor",
        "IMPLEMENTATION DEFINED: that, or Outer Shareable as it was at stage 1: AArch64.S1Translate",
        ALL,
        _shareability_of_the_descriptor,
    ),
    Departure(
        "HCR_EL2.CD does not count with FWB",
        "Normal memory is Non-cacheable: HCR_EL2.CD, AArch64.S2Translate",
        ALL,
        _cached_all_the_same,
    ),
    Departure(
        "with HCR_EL2.FWB, Device is stage 2's",
        "it is the stricter of both: S2ApplyFWBMemAttrs",
        ALL,
        _device_of_stage_2,
    ),
)


def departure(version: str, case: Case) -> Departure | None:
    return next((each for each in DEPARTURES if version in each.versions and each.applies(case)), None)


def deadly(version: str, request: Request, found: Walk, refusal: Refusal | None) -> str:
    """Return why a question is not asked: some versions of QEMU end with a failed assertion."""
    if ends_qemu_7(version, found, refusal):
        return "a fault at level -1 ends QEMU 7.2"
    if version == "10.0" and request.operation in BOTH:
        stage_2 = refusal is not None and refusal.fault.stage == 2 and refusal.fault.kind is FaultKind.PERMISSION
        goes_on = refusal is not None and refusal.decider.cause in (
            VMSACause.OUTPUT_TOO_LARGE,
            VMSACause.TABLE_TOO_LARGE,
        )
        if stage_2 or goes_on or (request.operation in WRITES and _clean(found)):
            return "a stage 2 permission fault of AT S12 ends QEMU 10.0"
    return ""


def describe(case: Case, answer: Answer) -> str:
    state, request, found, refusal = case.state, case.request, case.found, case.refusal
    lines = [f"{request.operation.name} {request.va:#x} pstate {request.pstate:#x} mode {state.mode}"]
    lines += [f"  {name} {value:#x}" for name, value in state.registers.items()]
    for step in found.steps:
        via = f" via {step.via.input:#x}" if step.via else ""
        lines.append(f"    level {step.level.number} @ {step.pa:#x}{via} {step.entry.word!r} {step.entry.kind.label}")
    for each in (found.fetch.via if found.fetch else None, found.final):
        for step in each.steps if each else ():
            lines.append(f"    stage 2 level {step.level.number} @ {step.pa:#x} {step.entry.word!r}")
    lines.append(f"  ours {refusal or found.destination} {found.final.destination if found.final else ''}")
    lines.append(f"  QEMU {answer.outcome.name} {answer.syndrome:#x} {meaningful(answer.syndrome)!r}")
    return "\n".join(lines)


def test_par_agrees_in_every_regime(oracle: Oracle, counted: Counter[str]) -> None:
    pan2 = ID_AA64MMFR1_EL1(oracle.identity["ID_AA64MMFR1_EL1"]).PAN >= 2
    version = version_of(oracle)
    different: list[str] = []
    for number in range(SEED, SEED + STATES):
        state = Drawing(oracle, number, MODES[oracle.cpu]).draw()
        asked = []
        for va in state.addresses:
            for operation, pstate in operations(state, pan2):
                request = Request(va, operation, pstate)
                found, refusal = predict(oracle, state, request)
                if why := deadly(version, request, found, refusal):
                    counted[f"not asked: {why}"] += 1
                else:
                    asked.append((request, found, refusal))
        answers = oracle.ask(state.registers, [request for request, _, _ in asked])
        for (request, found, refusal), answer in zip(asked, answers, strict=True):
            case = Case(state, request, found, refusal, par_of(found, refusal, request), meaningful(answer.syndrome))
            if answer.outcome is Outcome.COMPLETED and case.got == case.expected:
                counted[f"{state.mode}: {refusal.fault.kind.label if refusal else 'translated'}"] += 1
            elif answer.outcome is Outcome.COMPLETED and (what := departure(version, case)):
                counted[f"QEMU {version} departs: {what.what}; {what.rule}"] += 1
            else:
                different.append(f"GDBTOOLS_SEED={number}, expected {case.expected!r}\n{describe(case, answer)}")
    assert not different, f"{len(different)} differ on {oracle.cpu}, QEMU {version}; the first:\n{different[0]}"
