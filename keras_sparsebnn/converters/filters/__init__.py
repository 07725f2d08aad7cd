"""Binary filters in a .tflite.

packed: 1 bit for each weight, as LCE stores them.
sub-bit: a codebook, which lists the codewords (patterns of a 3x3 kernel) that a filter uses,
and for each kernel the index of its codeword.
"""
