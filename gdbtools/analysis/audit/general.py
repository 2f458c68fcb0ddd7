"""The rules of every system, each with what asks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gdbtools.analysis.audit import entries, memory, rights, roots, rules
from gdbtools.analysis.audit.findings import Checked, Rule
from gdbtools.analysis.audit.surveyed import Surveyed

CHECKS: Final[Mapping[Rule, Callable[[Surveyed], Checked]]] = {
    rules.WRITABLE_EXECUTABLE: rights.writable_executable,
    rules.USER_WRITABLE_EXECUTABLE: rights.user_writable_executable,
    rules.EXECUTABLE_ALIAS: rights.executable_alias,
    rules.USER_EXECUTABLE_ALIAS: rights.user_executable_alias,
    rules.WRITABLE_TABLE: memory.writable_table,
    rules.USER_ACCESSIBLE_KERNEL: rights.user_accessible_kernel,
    rules.EXECUTABLE_LINEAR_MAP: rights.executable_linear_map,
    rules.KERNEL_ACCESS_FLAG: entries.kernel_access_flag,
    rules.MISMATCHED_ATTRIBUTES: memory.mismatched_attributes,
    rules.BEYOND_MEMORY: memory.beyond_memory,
    rules.CONTIGUOUS_RUN: entries.contiguous_run,
    rules.RESERVED_BITS: entries.reserved_bits,
    rules.OUTPUT_SIZE: entries.output_size,
    rules.CPU_DIFFERENCE: roots.cpu_difference,
    rules.SHARED_TABLE: roots.shared_table,
    rules.GUEST_ISOLATION: roots.guest_isolation,
}
