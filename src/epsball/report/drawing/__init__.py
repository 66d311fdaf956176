"""Figures, tables and the HTML document."""
