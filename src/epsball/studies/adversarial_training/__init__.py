"""Study: adversarial training."""
