"""The trainer, its checkpoints and its directory."""
