"""`sparsebnn plot`: figures of trained runs, of searches, and of benchmarks on devices."""

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
        help="run folders; usage also takes .keras and .h5 files, and compares several; "
        "devices takes results of `sparsebnn benchmark --device`, search a search's folder",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="usage.png", help="the suffix says the format"
    )
    parser.add_argument(
        "--kind",
        choices=("usage", "overlap", "bits", "devices", "search"),
        default="usage",
        help="usage: how often each codeword is used (default); overlap: how the selection "
        "changes over the epochs; bits: bits per weight and kbit per layer; devices: latency "
        "against file size and accuracy; search: accuracy against cost of all candidates",
    )
    parser.add_argument(
        "--accuracy",
        action="append",
        default=[],
        metavar="FILE=SHARE",
        help="of devices: a model's accuracy, as small.tflite=0.91; may be given several times",
    )


def run(args: argparse.Namespace) -> int:
    """Draws and saves one figure."""
    if args.kind == "devices":
        return _devices(args)
    if args.accuracy:
        raise SparseBNNError(f"Expected --accuracy with --kind devices, got {args.kind}.")
    from keras_sparsebnn.analysis import plots
    from keras_sparsebnn.saved_models import load_model, model_file
    from keras_sparsebnn.training.run.folder import run_file

    if args.kind != "usage" and len(args.runs) != 1:
        raise SparseBNNError(
            f"Expected one run for --kind {args.kind}, got {len(args.runs)}. "
            "Draw one figure each."
        )
    output = check_output(args.output, args.runs)
    if args.kind == "search":
        from keras_sparsebnn.search.figure import draw

        draw(args.runs[0], output)
    elif args.kind == "overlap":
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


def _devices(args: argparse.Namespace) -> int:
    from keras_sparsebnn._rules import check, number
    from keras_sparsebnn.analysis.device_plots import DevicePoint, latency_over_devices
    from keras_sparsebnn.devices import results

    output = check_output(args.output, args.runs)
    accuracy = {}
    for given in args.accuracy:
        model, equals, share = given.rpartition("=")
        try:
            accuracy[model] = float(share) if model and equals else float("nan")
        except ValueError:
            accuracy[model] = float("nan")
        check("accuracy", accuracy[model], number(0, 1))
    points = [
        DevicePoint(
            device=one.name or one.device,
            model=Path(timing["model"]).name,
            file_bytes=one.file_bytes,
            median_ms=timing["median_ms"],
            p90_ms=timing["p90_ms"],
        )
        for source in args.runs
        for one in results.read(Path(source))
        for timing in one.report["timings"][:1]  # the default runtime
    ]
    latency_over_devices(points, accuracy, output)
    print(f"Wrote {args.output}")
    return 0


def _label(source: str, sources: list[str]) -> str:
    """A run's folder name, or its path where two share the name."""
    name = Path(source).resolve().stem
    return name if sum(Path(s).resolve().stem == name for s in sources) == 1 else source
