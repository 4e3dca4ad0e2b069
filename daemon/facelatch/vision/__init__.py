"""Pure work on pixels, the same in the daemon and in training."""
