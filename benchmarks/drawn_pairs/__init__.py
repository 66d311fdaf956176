"""Random pairs of a model and data, audited, and judged by an independent float64 recomputation."""
