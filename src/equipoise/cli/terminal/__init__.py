"""What is printed on a terminal, and when."""
