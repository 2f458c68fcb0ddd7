"""AArch32's rules that are broken, and the changes of them that change nothing."""

from __future__ import annotations

from collections.abc import Mapping

from tests.mutants.changes import Rules

TARGETS: Mapping[str, tuple[str, ...]] = {
    "permissions/controls.py": (),
    "permissions/long.py": (),
    "permissions/short.py": (),
    "tables/geometry.py": (),
    "tables/long_entries.py": (),
    "tables/memory_types.py": (),
    "tables/short_entries.py": (),
    "translation/long_stage.py": ("range_bits", "first", "last", "_disable", "admit", "attributes"),
    "translation/long_tables.py": ("root", "memory"),
    "translation/short_stage.py": ("range_bits", "root", "first", "last", "_disable", "memory", "attributes"),
    "translation/stage.py": ("admit", "check", "rights", "refused_below"),
}  # fmt: skip
_NOBODY = "PL1 has no access by it, and where it has none nobody is asked for"
_LEAF = "[len(steps) > 1 -> len(steps) >= 1]"
EQUIVALENT: Mapping[tuple[str, str], str] = {
    ("permissions/short.py:_FULL", "0b000: [(\"\", \"\") -> ('', 'r')],"): _NOBODY,
    ("permissions/short.py:_FULL", "_RESERVED: [(\"\", \"\") -> ('', 'r')],"): _NOBODY,
    ("permissions/short.py:ShortPath.of", f"return cls(steps[-1], word, steps[0] if {_LEAF} else None)"): (
        "the first step of a section is its leaf, which is the holder either way"
    ),
    (
        "translation/stage.py:PagedStage32.check",
        "if [walk.refusal is not None or walk.leaf is None -> walk.refusal is not None]:",
    ): "a walk through tables that nothing refuses ends in a leaf",
    (
        "translation/stage.py:refused_below",
        "return below.check(walk.final, kind, 0 if as_user else [1 -> 2])",
    ): "stage 2 tells EL0 from all that is above it",
}
RULES = Rules(
    folder="gdbtools/arch/aarch32",
    targets=TARGETS,
    equivalent=EQUIVALENT,
    instead={"VMSA32Cause": "INVALID_ENTRY", "FaultKind": "PARITY"},
    first_tests=("test_short", "test_long", "truth", "test_below_aarch64", "aarch32"),
    tests=("tests/arch/aarch32",),
)
