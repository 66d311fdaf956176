"""Gradient attacks within a ball of given radius."""
