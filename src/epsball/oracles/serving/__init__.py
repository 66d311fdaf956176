"""Serving a classifier as a label-only oracle over HTTP."""
