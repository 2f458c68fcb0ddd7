"""The walker and the permission check against the hardware's own: AT with PAR_EL1, and real exceptions.

Each run draws new configurations; the seed is printed, and GDBTOOLS_SEED=N repeats it. GDBTOOLS_ORACLE_EXAMPLES sets
how many are drawn.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64 import registers
from gdbtools.arch.aarch64.descriptors import LeafDescriptor
from gdbtools.arch.aarch64.identification import ID_AA64MMFR1_EL1
from gdbtools.arch.aarch64.processor_state import SPSR
from gdbtools.arch.aarch64.registers import TCR_EL1
from gdbtools.arch.model import Access, AccessKind, Cause, Refusal, Walk
from gdbtools.arch.walk import walk
from gdbtools.bits import Field, Word
from tests.guests.configurations import MAIR, Builder, Built, Configuration, Features, Half, Path, configurations
from tests.guests.oracle import DATA, DATA_BYTES, Answer, Operation, Oracle, Outcome, Request, missing
from tests.tables import reader

SEED = int(os.environ.get("GDBTOOLS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
EXAMPLES = int(os.environ.get("GDBTOOLS_ORACLE_EXAMPLES", "400"))
ARM = ARCHITECTURES["aarch64"]
PAN, EL1 = 1 << 22, 0b0101
TAGGED, FULL = (1 << 56) - 1, (1 << 64) - 1

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


OUTER_SHAREABLE = 0b10
NON_CACHEABLE = 0x44


def _illegal_block(found: Walk, par: Word) -> bool:
    return found.refusal is not None and found.refusal.decider.cause is Cause.BLOCK_NOT_ALLOWED


def _own_shareability(found: Walk, par: Word) -> bool:
    if not isinstance(par, Translated) or found.refusal is not None:
        return False
    leaf = found.leaf.entry.word if found.leaf else None
    own = leaf.SH if isinstance(leaf, LeafDescriptor) else 0
    right = Translated(par_of(found, None))
    return par == right.with_(SH=own) and (par.ATTR >> 4 == 0 or par.ATTR == NON_CACHEABLE)


# Where QEMU 7.2 is known to depart from the manual: it has to do exactly this, and everything else has to agree.
DEPARTURES: dict[str, Callable[[Walk, Word], bool]] = {
    "a block at a level whose granule allows none is taken for a block": _illegal_block,
    "PAR_EL1.SH of Device and Non-cacheable memory is the descriptor's, not Outer Shareable": _own_shareability,
}
WANTED = {
    Operation.AT_S1E1R: Access(AccessKind.READ, 1),
    Operation.AT_S1E1W: Access(AccessKind.WRITE, 1),
    Operation.AT_S1E0R: Access(AccessKind.READ, 0),
    Operation.AT_S1E0W: Access(AccessKind.WRITE, 0),
    Operation.AT_S1E1RP: Access(AccessKind.READ, 1),
    Operation.AT_S1E1WP: Access(AccessKind.WRITE, 1),
    Operation.LOAD_EL1: Access(AccessKind.READ, 1),
    Operation.STORE_EL1: Access(AccessKind.WRITE, 1),
    Operation.FETCH_EL1: Access(AccessKind.EXECUTE, 1),
    Operation.LOAD_EL0: Access(AccessKind.READ, 0),
    Operation.STORE_EL0: Access(AccessKind.WRITE, 0),
    Operation.FETCH_EL0: Access(AccessKind.EXECUTE, 0),
    Operation.LDTR_EL1: Access(AccessKind.READ, 0),
    Operation.STTR_EL1: Access(AccessKind.WRITE, 0),
}


@pytest.fixture(scope="module", params=("cortex-a57", "max"))
def oracle(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    with Oracle(request.param) as oracle:
        yield oracle


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Count what was compared, and say so where a passing run is read, too."""
    counted: Counter[str] = Counter()
    yield counted
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\noracle seed {SEED} (GDBTOOLS_SEED={SEED} repeats it): {sum(counted.values())} cases")
        for what, count in sorted(counted.items()):
            print(f"  {count:8} {what}")


def run(oracle: Oracle, in_ram: bool, one: Callable[[Configuration], None]) -> None:
    """Draw configurations for this CPU and put `one` to each."""
    features = Features.of(oracle.identity)
    checks = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
    drawn = given(st.shared(configurations(features, in_ram), key="configuration"))(one)
    seed(SEED)(settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=checks)(drawn))()


def registers_of(oracle: Oracle, built: Built) -> Callable[[str], int]:
    values = {**oracle.identity, **built.registers, "cpsr": EL1, "HCR_EL2": 0, "TCR2_EL1": 0}
    return reader(values)


def predict(oracle: Oracle, built: Built, request: Request) -> tuple[Walk, Refusal | None]:
    register = registers_of(oracle, built)
    found = walk(ARM.regime_for(register, request.va), request.va, oracle.read)
    return found, ARM.check(found, WANTED[request.operation], request.pstate | EL1)


def departure(found: Walk, par: Word) -> str:
    return next((what for what, applies in DEPARTURES.items() if applies(found, par)), "")


def describe(request: Request, found: Walk, refusal: Refusal | None, answer: Answer) -> str:
    steps = "".join(
        f"\n    level {s.level.number} @ {s.pa:#x} {s.entry.word!r} {s.entry.kind.label}" for s in found.steps
    )
    ours = refusal or found.destination
    said = f"{answer.outcome.name} {answer.syndrome:#x} FAR {answer.far:#x} ELR {answer.elr:#x}"
    return f"{request.operation.name} {request.va:#x} pstate {request.pstate:#x}:{steps}\n  ours {ours}\n  QEMU {said}"


def test_par_agrees_with_the_walk_and_the_permission_check(oracle: Oracle, tally: Counter[str]) -> None:
    pan2 = ID_AA64MMFR1_EL1(oracle.identity["ID_AA64MMFR1_EL1"]).PAN >= 2
    operations = [(operation, 0) for operation in Operation if operation <= Operation.AT_S1E0W]
    operations += [(o, p) for o in (Operation.AT_S1E1RP, Operation.AT_S1E1WP) for p in (0, PAN) if pan2]

    def one(configuration: Configuration) -> None:
        built = Builder(oracle, configuration).build()
        requests = [Request(va, o, pstate) for va in built.addresses for o, pstate in operations]
        for request, answer in zip(requests, oracle.ask(built.registers, requests), strict=True):
            found, refusal = predict(oracle, built, request)
            par = meaningful(answer.syndrome)
            matches = par == par_of(found, refusal)
            if not matches and (what := departure(found, par)):
                tally[f"QEMU departs: {what}"] += 1
                continue
            if not matches:
                note(describe(request, found, refusal, answer))
            assert answer.outcome is Outcome.COMPLETED
            assert matches
            tally[f"AT on {oracle.cpu}: {refusal.fault.kind.label if refusal else 'translated'}"] += 1

    run(oracle, False, one)


def par_of(found: Walk, refusal: Refusal | None) -> Word:
    """What PAR_EL1 has to say of a walk and its check."""
    if refusal is not None:
        status = ARM.status(refusal.fault)
        assert status is not None
        return Aborted(0).with_(F=1, FST=status)
    destination = found.destination
    assert destination is not None
    attr, sh = 0, OUTER_SHAREABLE
    if found.leaf is not None:
        leaf = found.leaf.entry.word
        assert isinstance(leaf, LeafDescriptor)
        attr = registers.MAIR.field(f"Attr{leaf.AttrIndx}").of(MAIR)
        # "PAR_EL1.SH": Device and Normal Non-cacheable memory is reported as Outer Shareable.
        sh = OUTER_SHAREABLE if attr >> 4 == 0 or attr == NON_CACHEABLE else leaf.SH
    return Translated(0).with_(PA=destination.address & ~0xFFF, ATTR=attr, SH=sh)


def meaningful(par: int) -> Word:
    """PAR_EL1 without the bits that are RES1, IMPLEMENTATION DEFINED or about the Security state."""
    if Aborted(par).F:
        aborted = Aborted(par)
        return Aborted(0).with_(F=1, FST=aborted.FST, S=aborted.S, PTW=aborted.PTW)
    translated = Translated(par)
    return Translated(0).with_(PA=translated.PA, ATTR=translated.ATTR, SH=translated.SH)


def test_real_exceptions_are_what_the_walk_and_the_check_predict(oracle: Oracle, tally: Counter[str]) -> None:
    pan = bool(ID_AA64MMFR1_EL1(oracle.identity["ID_AA64MMFR1_EL1"]).PAN)
    stub_va = 0xFFFF_8000_0000_0000

    def one(configuration: Configuration) -> None:
        builder = Builder(oracle, configuration, in_ram=True)
        built = builder.build()
        builder.map_stub(stub_va)
        requests = []
        for va in built.addresses:
            for operation in (o for o in Operation if o >= Operation.LOAD_EL1):
                kind = WANTED[operation].kind
                # Loads and stores keep to the odd half of a page, so that no store changes what is fetched.
                at = va & ~0b11 if kind is AccessKind.EXECUTE else va ^ 0x800
                requests += [Request(at, operation, pstate) for pstate in ((0, PAN) if pan else (0,))]
        asked = []
        for request in requests:
            found, refusal = predict(oracle, built, request)
            outside = found.destination and not DATA <= found.destination.address < DATA + DATA_BYTES
            if (refusal is None and outside) or _illegal_block(found, Word(0)):
                tally["not asked: it would touch what is not the test's, or QEMU departs"] += 1
                continue
            asked.append((request, found, refusal))
        answers = oracle.ask(built.registers, [request for request, _, _ in asked], stub_va)
        for (request, found, refusal), answer in zip(asked, answers, strict=True):
            agrees = real_agrees(request, refusal, answer, bool(configuration.lower.TBI))
            if not agrees:
                note(describe(request, found, refusal, answer))
            assert agrees
            kind = WANTED[request.operation].kind.label
            tally[f"real {kind} on {oracle.cpu}: {refusal.fault.kind.label if refusal else 'completed'}"] += 1

    run(oracle, True, one)


def real_agrees(request: Request, refusal: Refusal | None, answer: Answer, tagged: bool) -> bool:
    """Whether what happened is what was predicted; where the top byte is ignored, FAR need not keep it."""
    if refusal is None:
        return answer.outcome is Outcome.COMPLETED
    syndrome = ARM.decode_syndrome(answer.syndrome)
    from_el0 = request.operation in (Operation.LOAD_EL0, Operation.STORE_EL0, Operation.FETCH_EL0)
    return (
        answer.outcome is Outcome.TAKEN_TO_EL1
        and syndrome.fault == refusal.fault
        and syndrome.access_kind is WANTED[request.operation].kind
        and syndrome.from_lower is from_el0
        and (answer.far ^ request.va) & (TAGGED if tagged else FULL) == 0
    )


def test_a_granule_that_the_cpu_does_not_have_is_taken_for_4kb(oracle: Oracle) -> None:
    if "16KB" in Features.of(oracle.identity).granules:
        pytest.skip(f"{oracle.cpu} has all granules")
    half = Half("4KB", 25, 0, 0, 0, 0, False)
    leaf = {"AF": 1, "AttrIndx": 4, "SH": 3}
    path = Path(False, 0x12345 << 40, 2, ((0, 0, 0, 0),) * 4, "leaf", leaf, 0x41234000)
    built = Builder(oracle, Configuration(half, half, 5, 1, 0, 0, (path,), ())).build()
    tcr = TCR_EL1(built.registers["TCR_EL1"])
    built.registers["TCR_EL1"] = int(tcr.with_(TG0=0b10))
    request = Request(built.addresses[0], Operation.AT_S1E1R)
    found, refusal = predict(oracle, built, request)
    assert refusal is None
    assert found.leaf is not None
    assert found.leaf.level.number == 3
    assert meaningful(oracle.ask(built.registers, [request])[0].syndrome) == par_of(found, None)


def test_pan_is_a_bit_of_pstate_as_the_test_has_it() -> None:
    assert SPSR(PAN).PAN == 1
    assert SPSR(EL1).el == 1
