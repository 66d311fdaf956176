"""Options and output that the commands share."""
