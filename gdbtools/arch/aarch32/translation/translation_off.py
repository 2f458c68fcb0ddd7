"""Stage 1 while its MMU is off: addresses lead to themselves.

Source: DDI 0487, "The effects of disabling PE stage 1 MMUs on VMSAv8-32 behavior".
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.addresses import PA, VA, Input
from gdbtools.arch.aarch32.permissions.controls import ALL
from gdbtools.arch.aarch32.tables import memory_types
from gdbtools.arch.aarch32.tables.geometry import INPUT_LAST
from gdbtools.arch.aarch32.translation.stage import OWN_NAMES, refused_below, refused_by_address
from gdbtools.arch.arm.second_stage import ArmSecondStage
from gdbtools.arch.model import AccessKind, Attributes, Entry, Level, Privilege, Refusal, Regime, Step, Walk


@dataclass(frozen=True)
class TranslationOff(Regime):
    """A regime while `why` is so; `default_cacheable` is HCR.DC: memory is then Normal Write-Back.

    `names` are those whose regime it is, unprivileged last; `called` is its own name where it is not made of those.
    """

    why: str
    default_cacheable: bool = False
    names: tuple[Privilege, ...] = OWN_NAMES
    below: ArmSecondStage | None = None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    called: str = ""

    stage = 1
    levels = ()
    root = PA(0)
    first = VA(0)
    last = VA(INPUT_LAST)
    output_last = PA(INPUT_LAST)

    @property
    def regime_name(self) -> str:
        return self.called or f"{self.names[0].label}&0 stage 1"

    @property
    def short_name(self) -> str:
        return f"MMU off ({self.why})"

    def admit(self, address: Input) -> Refusal | None:
        return refused_by_address() if address > INPUT_LAST else None

    def decode(self, raw: bytes, level: Level) -> Entry:  # noqa: ARG002
        raise AssertionError("an MMU that is off reads no entry")

    def accept(self, step: Step) -> Refusal | None:  # noqa: ARG002
        raise AssertionError("an MMU that is off reads no entry")

    def check(self, walk: Walk, kind: AccessKind, as_user: bool) -> Refusal | None:
        """Return the refusal of an access: of the address, or stage 2's."""
        return walk.refusal or refused_below(self.below, walk, kind, as_user)

    def memory(self) -> tuple[int, int]:
        """Return the attribute and the shareability of data accesses."""
        if self.default_cacheable:
            return memory_types.WRITE_BACK, memory_types.NON_SHAREABLE
        return memory_types.DEVICE_nGnRnE, memory_types.OUTER_SHAREABLE

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:  # noqa: ARG002
        attr, sh = self.memory()
        own = Attributes(
            memory=memory_types.named(attr),
            shareability=memory_types.SHAREABILITY[sh],
            rights=dict.fromkeys(reversed(self.names), ALL),
            accessed=True,
            dirty=None,
            is_global=True,
            contiguous=False,
            device=memory_types.is_device(attr),
            unshared=self.default_cacheable,
        )
        return own if final is None or self.below is None else self.below.of_both(own, attr, sh, final)
