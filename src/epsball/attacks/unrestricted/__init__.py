"""Attacks without a norm ball."""
