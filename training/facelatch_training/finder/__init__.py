"""The face finder: data, network, training, evaluation and export."""
