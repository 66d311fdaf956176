"""One file per rejection method."""
