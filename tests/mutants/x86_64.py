"""x86-64's rules that are broken, and the changes of them that change nothing."""

from __future__ import annotations

from collections.abc import Mapping

from tests.mutants.changes import Rules

TARGETS: Mapping[str, tuple[str, ...]] = {
    "permissions/checks.py": (),
    "privileges.py": (),
    "registers/control.py": (),
    "registers/cpu_note.py": (),
    "registers/descriptor_tables.py": ("Gate", "IDTR"),
    "registers/memory_types.py": ("TYPES", "AT_RESET", "PAT"),
    "registers/protection_keys.py": (),
    "registers/second_stage.py": (),
    "syndrome/page_fault.py": ("PageFaultCode", "decode"),
    "syndrome/second_stage.py": (),
    "tables/descriptors.py": (),
    "tables/entries.py": ("_Reserved", "decode", "_word", "_reserved", "_broken", "refuse_entry", "refusal"),
    "tables/extended_entries.py": (),
    "tables/geometry.py": (),
    "translation/address_masking.py": (),
    "translation/extended.py": (),
    "translation/linear.py": (
        "first", "last", "translated", "tag_of", "admit", "_is_canonical", "check", "attributes",
    ),
    "translation/nested.py": (),
    "translation/paged.py": (
        "output_last", "accept", "linear_bits", "table_bits", "_address_bits", "handed_down", "memory_of",
    ),
    "translation/second_stage.py": (),
}  # fmt: skip

_AS_MANY = "as many are unpacked as there are names"
_NO_LEAF = "a walk that nothing refuses ends in a leaf, and one that something refuses does not"
_BIT_0 = "bit 0 is set or cleared anyway"
_NOT_FETCHED = "who asks makes a difference to a fetch of an instruction alone"
_NO_BIT_64 = "an entry has no bit 64"
_SAME = "it is that already"
EQUIVALENT: Mapping[tuple[str, str], str] = {
    (
        "privileges.py:SUPERVISOR",
        'SUPERVISOR: Final = Privilege([1 -> 2], "supervisor")',
    ): "levels are compared, and 2 is above 0 as 1 is",
    (
        "registers/cpu_note.py:cpu_state",
        "found = dict(zip(_GENERAL, general.unpack_from(note, _HEADER.size), strict=[True -> False]))",
    ): _AS_MANY,
    (
        "registers/cpu_note.py:cpu_state",
        "segments = dict(zip(_SEGMENTS, _SEGMENT.iter_unpack(note[segments_at:control_at]), strict=[True -> False]))",
    ): _AS_MANY,
    (
        "syndrome/page_fault.py:PageFaultCode.of_fault",
        "return cls([0 -> 1]).with_(",
    ): _BIT_0,
    (
        "tables/extended_entries.py:_NOWHERE",
        "_NOWHERE: Final = PA([0 -> 1])",
    ): "nobody asks where an entry leads that leads nowhere",
    (
        "tables/extended_entries.py:_reserved",
        "yield PagingCause.RESERVED_BIT, [6 -> 7], 3",
    ): "bit 7 of what maps no page has been refused before, as its size",
    (
        "tables/entries.py:_reserved",
        "yield _Reserved(PagingCause.ADDRESS_WIDTH, 20, max([13 -> 12], min(width, PSE36_BITS) - 19))",
    ): "no physical address has fewer than 32 bits",
    (
        "tables/entries.py:_reserved",
        "[return -> return None]",
    ): "what yields returns nothing",
    (
        "tables/entries.py:_reserved",
        "if [width < PHYSICAL_BITS -> width <= PHYSICAL_BITS]:",
    ): "with as many as there may be no bit is left to be reserved",
    (
        "tables/entries.py:_reserved",
        "yield _Reserved(PagingCause.RESERVED_BIT, [63 -> 64], PHYSICAL_BITS)",
    ): _NO_BIT_64,
    (
        "tables/entries.py:_reserved",
        "yield _Reserved(PagingCause.NX_OFF, [63 -> 64], 63)",
    ): _NO_BIT_64,
    (
        "translation/address_masking.py:_FULL",
        "_FULL = (1 << 64) - [1 -> 2]",
    ): "bit 0 is never masked",
    (
        "translation/address_masking.py:Masking.translated",
        "kept = ([2 -> 1] << sign) - 1",
    ): "the highest bit that counts is the same as bit 63, of which the masked ones are made",
    (
        "translation/extended.py:ExtendedTables.fetch_refused_through",
        "refused = self.implicit(self.check(via, AccessKind.READ, user=[False -> True]))",
    ): _NOT_FETCHED,
    (
        "translation/extended.py:ExtendedTables.status",
        "return int(ExitQualification([0 -> 1]).with_(**{name: int(value) for name, value in said.items()}))",
    ): _BIT_0,
    (
        "translation/nested.py:NestedTables.status",
        "info = NestedPageFaultInfo([0 -> 1]).with_(",
    ): _BIT_0,
    (
        "translation/second_stage.py:SecondStage.update_refused",
        "return self.implicit(self.check(via, AccessKind.WRITE, user=[False -> True]))",
    ): _NOT_FETCHED,
    (
        "translation/linear.py:Linear.admit",
        'decider = Decider([PagingCause.ADDRESS_TOO_LARGE -> PagingCause.ADDRESS_TOO_LARGE], "cr4", CR4.PAE, '
        "int(self.mode is PAE))",
    ): _SAME,
    (
        "translation/linear.py:Linear.check",
        "if [walk.refusal is not None or walk.leaf is None -> walk.leaf is None]:",
    ): _NO_LEAF,
    (
        "translation/linear.py:Linear.check",
        "if [walk.refusal is not None or walk.leaf is None -> walk.refusal is not None]:",
    ): _NO_LEAF,
    (
        "translation/linear.py:Linear.check",
        "if [refused is not None or self.below is None -> refused is not None]:",
    ): "nothing was fetched through a stage that is not there",
    (
        "translation/linear.py:Linear.check",
        "if [refused is not None or walk.final is None -> refused is not None]:",
    ): "what nothing refuses was walked through the stage below, where there is one",
}

RULES = Rules(
    folder="gdbtools/arch/x86_64",
    targets=TARGETS,
    equivalent=EQUIVALENT,
    instead={"PagingCause": "ADDRESS_TOO_LARGE", "FaultKind": "ALIGNMENT"},
    first_tests=("truth", "test_paging", "test_page_faults"),
)
