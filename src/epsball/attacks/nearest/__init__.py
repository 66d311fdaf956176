"""Attacks that look for the nearest adversarial image."""
