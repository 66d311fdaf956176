"""Attacks made of attacks, and models made of models."""
