"""AArch32 in QEMU: its table walker and its kernels as witnesses."""
