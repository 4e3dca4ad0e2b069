"""What the doors of a fleet tell each other about people: sealed, signed, and merged alike everywhere."""
