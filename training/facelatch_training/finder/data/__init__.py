"""Labelled photos, and the training pictures that are composed of them."""
