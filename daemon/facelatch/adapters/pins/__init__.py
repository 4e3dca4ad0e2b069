"""The Pi's pins through gpiozero: lock, indicator, inputs."""
