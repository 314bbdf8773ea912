"""Each routing against the engine's own code, or where that cannot run, a slow version of its rule."""
