"""What may be asked over the control socket."""
