"""What runs beside a model on ``torch.distributed``: its experts' loads are recorded, their weights moved."""
