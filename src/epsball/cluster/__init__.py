"""Running functions on a Ray cluster, and files that its nodes share."""
