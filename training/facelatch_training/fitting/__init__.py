"""The training of the network: its two stages, and the run folder that keeps how far they are."""
