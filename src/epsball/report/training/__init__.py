"""The page of one training run."""
