"""What it can do: error rates as presentation attack detection is judged by."""
