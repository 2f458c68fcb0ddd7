"""What is wrong with tables although nothing has faulted yet: rules, and what breaks them."""
