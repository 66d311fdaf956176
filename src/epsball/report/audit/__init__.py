"""The page of one audit."""
