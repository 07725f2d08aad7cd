"""The whole way on real, bundled pictures: train, convert, verify, benchmark, plot.

    python demo.py [FOLDER]

Trains the same network twice on scikit-learn's digits, once with all 512 kernels (1 bit a
weight) and once with 32 that each layer selects (0.56 bit), makes a `.tflite` of both, checks
them against Keras on every test picture, times them, and prints one table. Runs in FOLDER that
are finished are not trained again.
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

    from keras_sparsebnn.commands.environment import import_keras
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
    from keras_sparsebnn._keras import keras
    from keras_sparsebnn.training import RunConfig, train
    from keras_sparsebnn.training.atomic import replaced

    methods = {"1 bit, all 512 kernels": "one_bit", f"{CODEWORDS} selected kernels": "learned"}
    pictures = np.concatenate([x for x, _ in ksb.data.load("digits").test(256)])
    rows: list[dict[str, Any]] = []
    models = {}
    for label, method in methods.items():
        run = folder / method
        print(f"\n{label}: training on digits in {run}")
        codewords = CODEWORDS if method == "learned" else 512
        config = RunConfig(method=method, codewords=codewords, epochs=epochs)
        metrics = train(config, run, progress=True, report=print)
        model = keras.models.load_model(run / "model.keras", compile=False)
        models[label] = model

        flat = ksb.converters.convert_keras_model(model, format="lce")
        report = ksb.converters.verify(model, flat, pictures)
        print(f"Keras = LCE on all {len(pictures)} test pictures.\n{report}")
        path = run / "model.tflite"
        with replaced(path) as temporary:
            temporary.write_bytes(flat)
        summary = ksb.summary(model)
        print(summary)
        rows.append(
            {
                "kernels": label,
                "accuracy": metrics["final"]["test_accuracy"],
                "summary": summary,
                "size": len(flat),
                "path": path,
            }
        )

    paths = [str(row["path"]) for row in rows]
    timings = ksb.runtime.benchmark(paths, runs=100, runtime=("delegate", "lce"))
    figure = folder / "usage.png"
    ksb.plots.codeword_usage(models, figure)
    print(f"\nCodeword usage of both: {figure}\n")
    header = f"{'kernels':<24}{'test accuracy':>14}{'bits/weight':>13}{'binary kbit':>13}"
    header += f"{'MBOPs':>8}{'.tflite bytes':>15}{'delegate ms':>13}{'LCE ms':>9}"
    print(header + "\n" + "-" * len(header))
    for row, ours, lce in zip(rows, timings[::2], timings[1::2], strict=True):
        totals = row["summary"].totals
        print(
            f"{row['kernels']:<24}{row['accuracy']:>13.1%} {totals.bits_per_weight:>12.3f} "
            f"{totals.mbit * 1e3:>12.1f}{totals.gbops * 1e3:>8.2f}{row['size']:>15,}"
            f"{ours.median_ms:>13.3f}{lce.median_ms:>9.3f}"
        )
    print(
        "\nBoth files store a filter at 1 bit a weight: LCE knows no smaller format. "
        "`sparsebnn inspect` says what sub-bit storage would save."
    )


if __name__ == "__main__":
    sys.exit(main())
