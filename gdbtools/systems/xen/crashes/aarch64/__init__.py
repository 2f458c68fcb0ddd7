"""What Xen prints on AArch64: of a crash of its own, and of a walk of a second stage."""
