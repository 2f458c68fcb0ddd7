"""Addresses by what they are in: virtual, intermediate physical and physical ones, told apart by the type checker.

At run time each is the int that it was; arithmetic gives an int, and who computes an address says again what it is.
"""

from __future__ import annotations

from typing import NewType, TypeVar

VA = NewType("VA", int)
"""A virtual address: what stage 1 translates."""
IPA = NewType("IPA", int)
"""An intermediate physical address: what stage 1 gives where there is a stage 2, which translates it."""
PA = NewType("PA", int)
"""A physical address: the only kind that memory is read by."""
Input = VA | IPA
"""What a regime translates: which of the two, its stage says."""
Output = IPA | PA
"""What a regime gives, and what its root and its tables are at: physical, unless another stage translates it."""


A = TypeVar("A", bound=int)


def moved(address: A, offset_bytes: int) -> A:
    """Return the address that many bytes further, in the same space."""
    # Without `cast`, which is a call: this one is in every step of a walk.
    return address + offset_bytes  # type: ignore[return-value]
