"""From a Keras model to the int8 file at the door, compared with the float model before it counts."""
