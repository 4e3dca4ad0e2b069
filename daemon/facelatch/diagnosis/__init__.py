"""Looking at the door from outside: is all there, how fast is it, why would it open."""
