"""Pictures of living faces and of attacks: read, made, seen as the door sees them."""
