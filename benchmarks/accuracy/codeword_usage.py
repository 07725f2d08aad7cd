"""How often a trained network uses each of the 512 codewords, before and after training.

Writes the counts, which are small, beside the results; docs/two-epochs.md draws them.

    python -m benchmarks.accuracy.codeword_usage RUN_FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.errors import one_line_errors
from keras_sparsebnn.cli.process import import_keras

OUT = Path(__file__).with_name("codeword_usage.json")


def counts(model: Any) -> dict[str, list[int]]:
    from keras_sparsebnn.analysis.usage import binary_layers, codeword_counts

    return {layer.name: codeword_counts(layer).tolist() for layer in binary_layers(model)}


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run of method one_bit")
    args = parser.parse_args()
    import_keras()
    from keras_sparsebnn._files import read_json
    from keras_sparsebnn._keras import keras
    from keras_sparsebnn.experiments.provenance import provenance
    from keras_sparsebnn.saved_models import load_model

    metrics = read_json(args.run / "metrics.json")
    config = {**metrics["config"], "data_dir": None}
    model = load_model(args.run / "model.keras")
    keras.utils.set_random_seed(config["seed"])
    result_files.write(
        "codeword_usage",
        {
            "config": config,
            "test_accuracy": metrics["final"]["test_accuracy"],
            "environment": provenance(),
            "trained": counts(model),
            "untrained": counts(keras.models.clone_model(model)),
        },
        OUT,
    )


if __name__ == "__main__":
    main()
