"""The rules of AArch32, by themselves: each as the manual has it."""
