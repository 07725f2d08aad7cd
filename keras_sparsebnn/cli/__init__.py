"""The `sparsebnn` command: `entry` parses, every other module is one subcommand."""

from keras_sparsebnn.cli.entry import COMMANDS, build_parser, main

__all__ = ["COMMANDS", "build_parser", "main"]
