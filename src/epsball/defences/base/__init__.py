"""What all rejectors share."""
