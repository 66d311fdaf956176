"""What the sources claim, and estimates to judge it by."""
