"""Learning a substitute of a model that only answers with labels, and attacking through it."""
