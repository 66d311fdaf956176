"""Evaluation: the engine, checks, metrics and records of an audit."""
