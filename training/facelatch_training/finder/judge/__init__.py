"""Recall, landmark errors and speed of the finder and its peers."""
