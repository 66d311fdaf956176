"""Checks that turn doubts about an evaluation into findings."""
