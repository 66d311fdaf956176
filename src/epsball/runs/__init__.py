"""Directories of runs: whether one may be used, whether it is the same run, versions."""
