"""One file per figure, and the look that they share."""
