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
    "translation/long_stage.py": ("range_bits", "root", "first", "last", "_disable", "admit", "memory", "attributes"),
    "translation/short_stage.py": ("range_bits", "root", "first", "last", "_disable", "memory", "attributes"),
    "translation/stage.py": ("admit", "check", "rights", "refused_below"),
}  # fmt: skip
EQUIVALENT: Mapping[tuple[str, str], str] = {}
RULES = Rules(
    folder="gdbtools/arch/aarch32",
    targets=TARGETS,
    equivalent=EQUIVALENT,
    instead={"VMSA32Cause": "INVALID_ENTRY", "FaultKind": "PARITY"},
    first_tests=("test_short", "test_long", "truth", "test_below_aarch64", "aarch32"),
    tests=("tests/arch/aarch32",),
)
