"""What commands say of their results, for people and for machines."""
