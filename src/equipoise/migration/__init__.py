"""The way from one placement to another: who sends which expert to whom, when, and how long that takes."""
