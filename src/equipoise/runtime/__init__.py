"""What happens in the process that runs a model: its loads are recorded there."""
