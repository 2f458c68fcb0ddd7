"""OSv, a unikernel: what is known of it, by architecture."""
