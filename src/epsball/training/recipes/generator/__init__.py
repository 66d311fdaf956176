"""Training on the examples of a generator network."""
