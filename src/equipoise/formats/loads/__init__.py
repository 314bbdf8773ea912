"""One file per format of recorded loads."""
