"""The oracle of x86-64: its guest, its states, the manual's rules, and what QEMU makes of them."""
