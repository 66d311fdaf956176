"""Data as Python objects: arrays, lists, data frames, data sets and loaders of other libraries."""
