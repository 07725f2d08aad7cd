"""Does the file hold and compute what the model does?

`conversion_check` looks for every binary layer in the file; `verify` runs both, layer by layer.
"""
