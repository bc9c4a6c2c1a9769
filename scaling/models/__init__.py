"""The two families of networks, their weights, and what a device wants of them."""
