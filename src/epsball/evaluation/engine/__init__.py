"""The engine that runs attacks over batches."""
