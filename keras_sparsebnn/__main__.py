"""`python -m keras_sparsebnn` is the `sparsebnn` command."""

import sys

from keras_sparsebnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
