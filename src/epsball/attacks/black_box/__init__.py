"""Attacks that see scores or labels only."""
