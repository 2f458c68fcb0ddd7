"""Control and status registers, laid out as the privileged manual has them."""
