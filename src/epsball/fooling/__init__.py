"""Images that mean nothing to people and that a model names with confidence."""
