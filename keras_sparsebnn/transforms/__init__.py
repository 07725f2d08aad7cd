"""From one model to another: copies with other layers, weights or statistics."""
