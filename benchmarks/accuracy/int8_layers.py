"""What int8 layers change in the package's trained networks, on the full test set.

    python -m benchmarks.accuracy.int8_layers fashion_mnist --data-dir FOLDER
    python -m benchmarks.accuracy.int8_layers cifar10 --data-dir FOLDER

Each is calibrated with 256 training images and runs in the delegate. Goes on with
int8_layers.json: rows of other networks stay. Half a minute each.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import result_files
from benchmarks.accuracy.seed_runs import known_runs
from benchmarks.environment import environment
from benchmarks.errors import one_line_errors
from keras_sparsebnn import pretrained
from keras_sparsebnn.converters import convert_file
from keras_sparsebnn.data import Dataset, load
from keras_sparsebnn.runtime import Interpreter

OUT = Path(__file__).with_name("int8_layers.json")
LAYERS = ((), ("shortcuts", "classifier"), ("stem", "shortcuts", "classifier"))
CALIBRATED = 256


def classes(file: bytes, dataset: Dataset) -> npt.NDArray[Any]:
    """Of the test images, in order."""
    interpreter = Interpreter(file, runtime="delegate")
    parts = [interpreter.predict(images.numpy()) for images, _ in dataset.test(500)]
    found: npt.NDArray[Any] = np.concatenate(parts).argmax(1)
    return found


def rows_of(name: str, dataset: Dataset) -> list[dict[str, Any]]:
    """A row for each of `LAYERS`."""
    model = pretrained.load(name).path("lce").read_bytes()
    images, _ = next(iter(dataset.train(0, 1, CALIBRATED)))
    labels = np.concatenate([labels for _, labels in dataset.test(500)])
    float_classes = classes(model, dataset)
    rows = []
    for layers in LAYERS:
        found = float_classes
        if layers:
            options = {"int8_layers": layers, "calibration_images": images.numpy()}
            found = classes(convert_file(model, **options), dataset)
        row = {"network": name, "layers": list(layers), "images": len(labels)}
        row["test_accuracy"] = round(float(np.mean(found == labels)), 4)
        row["other_classes"] = round(float(np.mean(found != float_classes)), 4)
        rows.append(row)
        print(row, flush=True)
    return rows


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", choices=("cifar10", "fashion_mnist"))
    parser.add_argument("--data-dir", type=Path, help="where its data set lies")
    parser.add_argument("-o", "--output", type=Path, default=OUT)
    args = parser.parse_args()
    header = environment()
    runs = [row for row in known_runs(args.output) if row["network"] != args.network]
    runs += rows_of(args.network, load(args.network, data_dir=args.data_dir))
    runs.sort(key=lambda row: (row["network"], len(row["layers"])))
    result = {"environment": header, "setting": {"calibrated": CALIBRATED}, "runs": runs}
    result_files.write("int8_layers", result, args.output)


if __name__ == "__main__":
    main()
