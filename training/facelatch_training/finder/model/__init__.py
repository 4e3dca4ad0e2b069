"""The finder's two networks, their training and their export."""
