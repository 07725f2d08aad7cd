"""The subcommands of `sparsebnn`, one a file: `add_arguments(parser)` and `run(args)`."""
