"""What is known of Hafnium."""
