"""What the attacks share: the ascent loop, model queries, argument checks."""
