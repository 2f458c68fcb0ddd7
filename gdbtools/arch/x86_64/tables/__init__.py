"""Tables: how an address is cut into levels, and what an entry of each says."""
