"""What Xen prints when it crashes, an architecture each."""
