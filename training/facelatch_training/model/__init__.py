"""The network behind the door: its layers, the embedding tower, the head, and what a forward pass costs."""
