"""What the cells of several studies measure."""
