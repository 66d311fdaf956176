"""Preprocessing defences."""
