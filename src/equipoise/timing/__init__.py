"""What tokens take on a GPU, in microseconds."""
