"""What files are made of, whatever they hold: JSON, YAML, torch, NumPy, whole files, sizes and refusals."""
