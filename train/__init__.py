"""Training: the network, its data, the loop and its evaluation. Needs the extra `train`."""
