"""AArch64's rules that are broken, and the changes of them that change nothing."""

from __future__ import annotations

from collections.abc import Mapping

from tests.mutants.changes import Rules

TARGETS: Mapping[str, tuple[str, ...]] = {
    "permissions/checks.py": (),
    "permissions/direct.py": (),
    "permissions/indirect.py": (),
    "permissions/overlay.py": (),
    "tables/entries.py": ("decode", "refuse_entry", "_refuse"),
    "translation/stage1.py": (
        "handed_down", "admit_access", "accept", "_update_refused", "_is_updated", "has_overlays", "fetch_refused",
        "effective", "_overlay", "check", "_dirty", "attributes",
    ),
    "translation/stage1_off.py": ("check", "attributes"),
    "translation/stage2.py": (
        "STAGE2_BASE", "MOSTLY_READ_ONLY", "accept", "grant", "_indirect", "check", "fetch_refused_by_stage_2",
        "_walker_may_write", "_is_device", "attributes", "attributes_of_both",
    ),
}  # fmt: skip

_READ_COMES_WITH_WRITE = "no base permission grants writing, or a Guarded Control Stack, without reading"
_NO_LEAF = "a walk that nothing refuses ends in a leaf"
_NO_FETCH = "stage 2 tells EL1 from EL0 in execution alone, and a walk fetches no instructions"
_LEAF_HAS_ATTRIBUTES = "a walk of stage 2 has attributes exactly where it ended in a leaf"
_BOTH_LEVELS = "stage 2 has rights for EL0 and EL1, and what goes through it has no other level"
_NO_RUN_OF_TWO = "no granule and level has runs of two entries"
_INDIRECT_LEAF = "stage 2's leaves are indirect exactly where there is a S2PIR_EL2, and what was fetched has a leaf"
_BELOW_AND_VIA = "a step has been fetched through the stage below exactly where there is one"
EQUIVALENT: Mapping[tuple[str, str], str] = {
    (
        "permissions/checks.py:Effective._access_never",
        "if [user.read is None or user.write is None or user.shadow_stack -> user.read is None or user.shadow_stack]:",
    ): _READ_COMES_WITH_WRITE,
    (
        "permissions/checks.py:Effective._access_never",
        "if [user.read is None or user.write is None or user.shadow_stack -> user.read is None or user.write is None]:",
    ): _READ_COMES_WITH_WRITE,
    (
        "permissions/overlay.py:overlaid",
        "both = [base.exclusive is not None and grant.write is None and grant.execute is None -> "
        "grant.write is None and grant.execute is None]",
    ): "without an exclusive rule, what it would put in place of a right is None: the right",
    (
        "permissions/overlay.py:overlaid",
        "return [Grant(grant.read, None, base.exclusive, grant.shadow_stack) -> "
        "Grant(None, None, base.exclusive, grant.shadow_stack)] if both else grant",
    ): _READ_COMES_WITH_WRITE,
    (
        "permissions/overlay.py:overlaid",
        "return [Grant(read, write, execute, grant.shadow_stack) -> Grant(read, write, execute, None)]",
    ): "the encodings with a Guarded Control Stack have no overlay: it is False here",
    (
        "translation/stage1.py:Stage1.handed_down",
        "return [0 -> 1]",
    ): "a constant: all tables are alike in what they hand down",
    (
        "translation/stage1.py:Stage1._update_refused",
        "if [self.below is None or step.via is None -> step.via is None]:",
    ): _BELOW_AND_VIA,
    (
        "translation/stage1.py:Stage1._update_refused",
        "if [self.below is None or step.via is None -> self.below is None]:",
    ): _BELOW_AND_VIA,
    (
        "translation/stage1.py:Stage1._is_updated",
        "if [kind is not AccessKind.WRITE or not self.hardware_dirty -> kind is not AccessKind.WRITE]:",
    ): "without hardware that records it, a write to what is not dirty has been refused before",
    (
        "translation/stage1.py:Stage1.attributes",
        "contiguous=bool(leaf.Contiguous) and self.contiguous_entries(steps[-1].level) > [1 -> 2],",
    ): _NO_RUN_OF_TWO,
    (
        "translation/stage1.py:Stage1.attributes",
        'is_global=not (self.controls.user and (self.forced_non_global or bool(getattr(leaf, "nG", [0 -> 1])))),',
    ): "each layout of a leaf has nG, or None in its place",
    (
        "translation/stage1_off.py:Stage1Off.check",
        "if [walk.refusal is None and kind is AccessKind.EXECUTE -> kind is AccessKind.EXECUTE]:",
    ): "what data may not reach, no fetch may: fewer bits of its address are ignored",
    (
        "translation/stage1.py:Stage1.check",
        "if [walk.refusal is not None or walk.leaf is None -> walk.refusal is not None]:",
    ): _NO_LEAF,
    (
        "translation/stage2.py:Stage2._walker_may_write",
        "if [self.s2pir is None or not isinstance(word, Stage2IndirectLeaf) -> "
        "not isinstance(word, Stage2IndirectLeaf)]:",
    ): _INDIRECT_LEAF,
    (
        "translation/stage2.py:Stage2._walker_may_write",
        "if [self.s2pir is None or not isinstance(word, Stage2IndirectLeaf) -> self.s2pir is None]:",
    ): _INDIRECT_LEAF,
    (
        "translation/stage2.py:Stage2.attributes",
        "contiguous=bool(word.Contiguous) and self.contiguous_entries(leaf.level) > [1 -> 2],",
    ): _NO_RUN_OF_TWO,
    (
        "translation/stage2.py:Stage2.check",
        "if [walk.refusal is not None or walk.leaf is None -> walk.refusal is not None]:",
    ): _NO_LEAF,
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "refusal = self.check(via, AccessKind.READ, [1 -> 2])",
    ): _NO_FETCH,
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "refusal = self.check(via, kind, [1 -> 2])",
    ): _NO_FETCH,
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "if [refusal is None and kind is AccessKind.WRITE and not self._walker_may_write(via) -> "
        "kind is AccessKind.WRITE and (not self._walker_may_write(via))]:",
    ): "what is updated has been fetched: reading it was not refused",
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "if [refusal is None and kind is AccessKind.WRITE and not self._walker_may_write(via) -> "
        "refusal is None and (not self._walker_may_write(via))]:",
    ): "to ask about reading again says the same again",
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "if [refusal is None and self.hcr.PTW and not self.hcr.TGE and via.leaf is not None and "
        "self._is_device(via.leaf) -> refusal is None and self.hcr.PTW and (via.leaf is not None) and "
        "self._is_device(via.leaf)]:",
    ): "with TGE, stage 1 of EL1&0 is off and fetches nothing",
    (
        "translation/stage2.py:Stage2.fetch_refused_by_stage_2",
        "if [refusal is None and self.hcr.PTW and not self.hcr.TGE and via.leaf is not None and "
        "self._is_device(via.leaf) -> refusal is None and self.hcr.PTW and (not self.hcr.TGE) and "
        "self._is_device(via.leaf)]:",
    ): _NO_LEAF,
    (
        "translation/stage2.py:attributes_of_both",
        "if [second is None or final.leaf is None -> final.leaf is None]:",
    ): _LEAF_HAS_ATTRIBUTES,
    (
        "translation/stage2.py:attributes_of_both",
        "if [second is None or final.leaf is None -> second is None]:",
    ): _LEAF_HAS_ATTRIBUTES,
    (
        "translation/stage2.py:attributes_of_both",
        "rights = {el: allowed & second.rights.get(el, Rights([False -> True], False, False)) "
        "for el, allowed in own.rights.items()}",
    ): _BOTH_LEVELS,
    (
        "translation/stage2.py:attributes_of_both",
        "rights = {el: allowed & second.rights.get(el, Rights(False, [False -> True], False)) "
        "for el, allowed in own.rights.items()}",
    ): _BOTH_LEVELS,
    (
        "translation/stage2.py:attributes_of_both",
        "rights = {el: allowed & second.rights.get(el, Rights(False, False, [False -> True])) "
        "for el, allowed in own.rights.items()}",
    ): _BOTH_LEVELS,
}

RULES = Rules(
    folder="gdbtools/arch/aarch64",
    targets=TARGETS,
    equivalent=EQUIVALENT,
    instead={"VMSACause": "RANGE_SIZE", "FaultKind": "ALIGNMENT"},
    first_tests=("test_deciders", "truth", "test_permissions", "test_pitfalls", "test_regimes"),
)
