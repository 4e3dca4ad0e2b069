"""What a model was made of and what it does, as a model card and as one HTML page."""
