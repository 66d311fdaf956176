"""The rules of the attack contract."""
