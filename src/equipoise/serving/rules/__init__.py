"""How engines choose among an expert's replicas, one file per engine."""
