"""How many GPUs and slots at all: what each choice would have reached on recorded traffic."""
