"""Load a user's model and its weights."""
