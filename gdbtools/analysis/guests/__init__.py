"""The guests of a hypervisor: which are known, what their second stages map, and what cleaning that costs."""
