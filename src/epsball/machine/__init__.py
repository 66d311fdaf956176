"""The machine: its processor cores and what its devices compute in at speed."""
