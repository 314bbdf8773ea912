"""One file per format of placements."""
