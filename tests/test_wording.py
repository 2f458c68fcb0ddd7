"""How sizes are written: in one way, exact or to three figures."""

from __future__ import annotations

from gdbtools.wording import amount, size


def test_an_amount_has_about_three_figures() -> None:
    assert [amount(each) for each in (17, 4096, 1229 << 10, 515272 << 10, 1 << 48)] == [
        "17 bytes",
        "4KB",
        "1.2MB",
        "503MB",
        "256TB",
    ]


def test_a_size_is_exact_and_written_as_an_amount_is() -> None:
    assert [size(each) for each in (0, 17, 4096, 4097, 1229 << 10, 1 << 48)] == [
        "0 bytes",
        "17 bytes",
        "4KB",
        "4097 bytes",
        "1229KB",
        "256TB",
    ]
    assert all(size(1 << shift) == amount(1 << shift) for shift in range(49))
