"""Settings and everything checked before training starts."""
