"""RISC-V's rules that are broken, and the changes of them that change nothing."""

from __future__ import annotations

from collections.abc import Mapping

from tests.mutants.changes import Rules

TARGETS: Mapping[str, tuple[str, ...]] = {
    "permissions/checks.py": (),
    "permissions/physical.py": (),
    "tables/entries.py": (),
    "translation/paged.py": (
        "accept", "read_refused", "handed_down", "contiguous_entries", "update_refused", "_write_refused",
        "_attributes", "memory_type",
    ),
    "translation/virtual_stage.py": (
        "admit", "_is_canonical", "fetch_refused", "check", "_write_refused", "attributes", "attributes_of_both",
    ),
    "translation/guest_stage.py": ("last", "admit", "check", "implicit_refused", "attributes"),
    "translation/pointer_masking.py": (),
}  # fmt: skip

_ONLY_NAMED = "an entry that is off is named where none matches, and never asked what it matches"
_NOT_READ = "a leaf that nobody may read is executable, or a shadow stack"
EQUIVALENT: Mapping[tuple[str, str], str] = {
    (
        "permissions/checks.py:_refuse_by_kind",
        "granted = leaf.R or is_shadow_stack(leaf) or ([reads_executable and leaf.X -> reads_executable])",
    ): _NOT_READ,
    (
        "permissions/physical.py:NOWHERE",
        "NOWHERE: Final = ([0 -> 1], -1)",
    ): _ONLY_NAMED,
    (
        "permissions/physical.py:NOWHERE",
        "NOWHERE: Final = (0, -[1 -> 2])",
    ): _ONLY_NAMED,
    (
        "permissions/physical.py:protection",
        "on.append(ProtectedRange(entry, word, *_range(word.A, address, [before or 0 -> before])))",
    ): "what is before counts for TOR alone, and is known there",
    (
        "tables/entries.py:_NOWHERE",
        "_NOWHERE: Final = PA([0 -> 1])",
    ): "what is no entry leads nowhere, and nobody asks where",
    (
        "tables/entries.py:decode",
        "contiguous = [rules.entry_bytes == 8 and not level.number and WideEntry.N.of(value) -> "
        "not level.number and WideEntry.N.of(value)]",
    ): "an entry of four bytes has no bit 63",
    (
        "tables/entries.py:is_shadow_stack",
        "return [bool(leaf.W) and not (leaf.R or leaf.X) -> not (leaf.R or leaf.X)]",
    ): "a leaf without R and X has W: else it leads to a table",
    (
        "translation/pointer_masking.py:pmlen",
        "return [0 -> 1]",
    ): "an address of 32 bits has no bit 63, and its bit 62 is 0",
    (
        "translation/pointer_masking.py:pmlen",
        "return PMLEN.get(MSECCFG.PMM.of(optional(register, HOLDERS[mode]) or [0 -> 1]), 0)",
    ): "PMM is elsewhere than in bit 0",
}

RULES = Rules(
    folder="gdbtools/arch/riscv",
    targets=TARGETS,
    equivalent=EQUIVALENT,
    instead={"PagedCause": "ADDRESS_TOO_LARGE", "FaultKind": "ALIGNMENT"},
    first_tests=("truth", "test_against_reference", "test_map"),
)
