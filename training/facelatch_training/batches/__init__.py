"""What a training batch is made of: augmented crops, pairs, and the teacher's answers."""
