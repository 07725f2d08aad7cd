"""`sparsebnn plot`: figures of trained runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_sparsebnn.cli.outputs import check_output
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's options."""
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="run/",
        help="run folders; usage also takes .keras and .h5 files, and compares several",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="usage.png", help="the suffix says the format"
    )
    parser.add_argument(
        "--kind",
        choices=("usage", "overlap", "bits"),
        default="usage",
        help="usage: how often each codeword is used (default); overlap: how the selection "
        "changes over the epochs; bits: bits per weight and kbit per layer",
    )


def run(args: argparse.Namespace) -> int:
    """Draws and saves one figure."""
    from keras_sparsebnn.analysis import plots
    from keras_sparsebnn.saved_models import load_model, model_file
    from keras_sparsebnn.training.run.folder import run_file

    if args.kind != "usage" and len(args.runs) != 1:
        raise SparseBNNError(
            f"Expected one run for --kind {args.kind}, got {len(args.runs)}. "
            "Draw one figure each."
        )
    output = check_output(args.output, args.runs)
    if args.kind == "overlap":
        history = run_file(args.runs[0], "metrics.json").get("history")
        if not isinstance(history, list):
            raise SparseBNNError(
                f'Expected a list of epochs under "history" ({args.runs[0]}/metrics.json).'
            )
        plots.selection_overlap(history, output)
    else:
        from keras_sparsebnn.cli.process import import_keras

        files = [model_file(source) for source in args.runs]
        import_keras()
        models = {
            _label(source, args.runs): load_model(path)
            for source, path in zip(args.runs, files, strict=True)
        }
        if args.kind == "usage":
            plots.codeword_usage(models, output)
        else:
            from keras_sparsebnn.analysis.summaries import summary

            (model,) = models.values()
            plots.bits_per_layer(summary(model).to_dict(), output)
    print(f"Wrote {args.output}")
    return 0


def _label(source: str, sources: list[str]) -> str:
    """A run's folder name, or its path where two share the name."""
    name = Path(source).resolve().stem
    return name if sum(Path(s).resolve().stem == name for s in sources) == 1 else source
