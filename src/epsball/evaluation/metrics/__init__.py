"""Rates, intervals, tests and the summary."""
