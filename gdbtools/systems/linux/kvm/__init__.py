"""KVM, as Linux keeps its machines."""
