"""What every directory of a run shares: may it be used, is it the same run, which versions."""
