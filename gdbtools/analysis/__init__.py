"""What it means: pure functions from the model to the model."""
