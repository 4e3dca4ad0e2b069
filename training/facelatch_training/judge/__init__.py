"""What a verifier is worth: comparisons, error rates, and the thresholds that keep the rates asked for."""
