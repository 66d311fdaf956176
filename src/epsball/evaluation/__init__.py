"""Evaluation: the engine, the checks, the measures, and what a run leaves behind."""
