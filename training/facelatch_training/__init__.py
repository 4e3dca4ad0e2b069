"""Training of the Siamese network behind the door; never installed on the Pi."""
