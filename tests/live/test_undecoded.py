"""A guest of another architecture is told what it is and what can be done, and not to set what cannot be set."""

from __future__ import annotations

import pytest

from gdbtools.live.stub.undecoded import undecoded


@pytest.mark.parametrize(
    ("name", "what", "instead"),
    [
        ("armv7", "a 32-bit Arm", "monitor gva2gpa"),
        ("mips:isa64", "mips:isa64", "gdb-multiarch"),
    ],
)
def test_a_guest_that_is_not_decoded_is_named_with_what_can_be_done(name: str, what: str, instead: str) -> None:
    said = undecoded(name, ("aarch64",))
    assert said.startswith(f"GDB takes the guest for {what}")
    assert instead in said
    assert "only aarch64 is decoded" in said
    assert "set architecture" not in said, "GDB keeps what the stub's target description says"
