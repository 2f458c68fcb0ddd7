"""Accesses to the SIMD and floating-point registers that FPEN, TFP or their kin trap."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Conditional


class FloatingPointAccess(Conditional):
    """ISS encoding for an exception from an access to SVE, Advanced SIMD or floating-point functionality."""
