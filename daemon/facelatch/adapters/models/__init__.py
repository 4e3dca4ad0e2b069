"""What runs networks: finders, the verifier, and the TFLite runtime below them."""
