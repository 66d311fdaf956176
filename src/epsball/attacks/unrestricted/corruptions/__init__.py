"""Common corruptions, 15 kinds at 5 severities."""
