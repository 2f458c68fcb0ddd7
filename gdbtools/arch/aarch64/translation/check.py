"""May an access happen: both stages asked, in their order."""

from __future__ import annotations

from gdbtools.arch.aarch64.permissions.checks import as_user
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.translation.stage1 import Stage1
from gdbtools.arch.aarch64.translation.stage1_off import Stage1Off
from gdbtools.arch.aarch64.translation.stage2 import Stage2
from gdbtools.arch.aarch64.translation.stage2_owner import Stage2Off
from gdbtools.arch.model import Access, Refusal, Walk


def check(walk: Walk, access: Access, state: int) -> Refusal | None:
    """Ask stage 1 first, whole, and then stage 2: a permission fault at stage 1 hides what stage 2 would say."""
    pstate, regime = SPSR(state), walk.regime
    if isinstance(regime, Stage2):
        return regime.check(walk, access.kind, 0 if as_user(access, pstate, True) else 1)
    if isinstance(regime, Stage2Off):
        return walk.refusal
    assert isinstance(regime, Stage1 | Stage1Off)
    user = as_user(access, pstate, regime.unprivileged_counts)
    if isinstance(regime, Stage1):
        refused = regime.check(walk, access.kind, user, pstate)
    else:
        refused = regime.check(walk, access.kind)
    if refused is not None or walk.final is None or regime.below is None:
        return refused
    return regime.below.check(walk.final, access.kind, 0 if user else 1)
