"""Cells, executors and the directory of a study."""
