"""The pages: what is on them, how they look and what they do."""
