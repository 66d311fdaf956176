"""Jobs above evaluation and training: craft images, defend a model, list layers."""
