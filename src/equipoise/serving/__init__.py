"""What a placement makes of loads: the load of every GPU, under any engine's routing, and the best there could be."""
