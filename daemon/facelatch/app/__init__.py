"""The running door: what is built from the configuration, and the loop that serves it."""
