"""What Trusted Firmware-A prints when it crashes, an architecture each."""
