"""One file per engine: what it calls, answered by Equipoise."""
