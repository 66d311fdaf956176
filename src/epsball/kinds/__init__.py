"""Which kind of mistake an adversarial image causes, and which goal of an attacker it reaches."""
