"""The whole way on real, bundled images: train, convert, verify, benchmark, plot.

    python demo.py [FOLDER]

Trains the same network twice on scikit-learn's digits, once with all 512 kernels (1 bit a
weight) and once with 32 that each layer selects (0.56 bit), makes a `.tflite` of both and a
sub-bit one with int8 weights of the second, checks them against Keras on every test image,
times them, and prints one table. Then it runs a larger model that comes with the package.
Runs in FOLDER that are finished are not trained again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

CODEWORDS = 32


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo"))
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args(argv)

    from keras_sparsebnn.cli.process import import_keras
    from keras_sparsebnn.errors import SparseBNNError

    try:
        import_keras()
        demo(args.folder, args.epochs)
    except (SparseBNNError, OSError, ImportError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    return 0


def demo(folder: Path, epochs: int) -> None:
    import numpy as np

    import keras_sparsebnn as ksb
    from keras_sparsebnn._files import replaced
    from keras_sparsebnn.saved_models import load_model
    from keras_sparsebnn.training import RunConfig, train

    methods = {"1 bit, all 512 kernels": "one_bit", f"{CODEWORDS} selected kernels": "learned"}
    batches = ksb.data.load("digits").test(256)
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    rows: list[dict[str, Any]] = []
    models = {}
    for label, method in methods.items():
        run = folder / method
        print(f"\n{label}: training on digits in {run}")
        codewords = CODEWORDS if method == "learned" else 512
        config = RunConfig(method=method, codewords=codewords, epochs=epochs)
        metrics = train(config, run, progress=True, report=print)
        model = load_model(run / "model.keras")
        models[label] = model

        summary = ksb.summary(model)
        print(summary)
        flat = ksb.converters.convert_keras_model(model)
        files = {"": flat}
        if method == "learned":
            small = ksb.converters.convert_file(flat, "subbit", weights="int8")
            files[", sub-bit, int8"] = small
        # The last: a sub-bit file must be what the LCE file that was checked gives.
        report = ksb.converters.verify(model, [*files.values()][-1], images, labels=labels)
        print(f"\nChecked on all {len(images)} test images.\n{report}")
        for kind, data in files.items():
            path = run / ("small.tflite" if kind else "model.tflite")
            with replaced(path) as temporary:
                temporary.write_bytes(data)
            rounded = report.int8_weights if kind else None
            accuracy = metrics["final"]["test_accuracy"]
            rows.append(
                {
                    "kernels": label + kind,
                    "accuracy": rounded.int8_accuracy if rounded else accuracy,
                    "summary": summary,
                    "size": len(data),
                    "path": str(path),
                }
            )

    timings: dict[str, dict[str, str]] = {row["path"]: {} for row in rows}
    for timing in ksb.runtime.benchmark(list(timings), runs=100, runtime="compare"):
        runtime = "delegate" if timing.runtime.startswith("delegate") else timing.runtime
        timings[timing.model][runtime] = f"{timing.median_ms:.3f}"
    figure = folder / "usage.png"
    ksb.plots.codeword_usage(models, figure)
    print(f"\nCodeword usage of both: {figure}\n")
    header = f"{'kernels':<36}{'test accuracy':>14}{'bits/weight':>13}{'binary kbit':>13}"
    header += f"{'MBOPs':>8}{'.tflite bytes':>15}{'delegate ms':>13}{'LCE ms':>9}"
    print(header + "\n" + "-" * len(header))
    for row in rows:
        totals, measured = row["summary"].totals, timings[row["path"]]
        print(
            f"{row['kernels']:<36}{row['accuracy']:>13.1%} {totals.bits_per_weight:>12.3f} "
            f"{totals.mbit * 1e3:>12.1f}{totals.gbops * 1e3:>8.2f}{row['size']:>15,}"
            f"{measured.get('delegate', '-'):>13}{measured.get('lce', '-'):>9}"
        )
    print(
        "\nLCE stores every filter at 1 bit a weight; the sub-bit file runs with the delegate."
    )
    show_pretrained("cifar10")


def show_pretrained(name: str) -> None:
    """Runs a larger model, one that comes with the package."""
    import keras_sparsebnn as ksb

    model = ksb.pretrained.load(name)
    kind = "subbit_int8"
    (timing,) = ksb.runtime.benchmark([str(model.path(kind))], runs=100, runtime="auto")
    print(
        f"\nTrained models come along: {name}, {model.accuracy(kind):.1%} of "
        f"{model.card['data']['test_images']:,} test images, "
        f"{model.path(kind).stat().st_size:,} bytes, {timing.median_ms:.2f} ms an image here.\n"
        f"It takes {len(model.samples)} test images for: "
        f"{', '.join(model.classify(model.samples, kind))}."
    )


if __name__ == "__main__":
    sys.exit(main())
