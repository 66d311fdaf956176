"""One row per image, attack and eps."""
