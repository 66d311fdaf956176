"""What training measures and reports."""
