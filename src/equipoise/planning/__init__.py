"""From a checked request to a placement, and the proof of how good it is."""
