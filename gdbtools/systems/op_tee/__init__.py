"""OP-TEE: what it prints when it crashes."""
