"""A guest of another architecture is told what it is and what can be done, and not to set what cannot be set."""

from __future__ import annotations

from gdbtools.live.stub.undecoded import undecoded


def test_a_guest_that_is_not_decoded_is_named_with_what_can_be_done() -> None:
    said = undecoded("mips:isa64", ("aarch64",))
    assert said.startswith("GDB takes the guest for mips:isa64")
    assert "gdb-multiarch" in said
    assert "only aarch64 is decoded" in said
    assert "set architecture" not in said, "GDB keeps what the stub's target description says"
