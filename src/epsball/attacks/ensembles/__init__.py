"""Several attacks in sequence, each on the images that the earlier ones left."""
