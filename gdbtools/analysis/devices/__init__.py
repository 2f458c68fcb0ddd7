"""Which device an address is: by a device tree in memory, the guest's own or the host's."""
