"""Which codewords a layer keeps: algorithms, without layers."""
