"""Living faces: the network that tells a face from a picture of one."""
