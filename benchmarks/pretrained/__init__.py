"""How the models of `keras_sparsebnn.pretrained` are made."""
