"""What the channel shifts of BCDNet-A cost in the delegate: SLICE, CONCATENATION, PADV2.

    python -m benchmarks.speed.channel_shifts    # writes results/channel_shifts-<date>.json
    python -m benchmarks.speed.channel_shifts --folder /tmp/files --only files

Three files: with circular shifts, with padded ones, and with none, which is no network to use
but has all other operators; of three LceQuantize a block then needs one. They take turns, each
in a process of its own. The share of the shifts is what the first two take more than the last.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.environment import environment
from keras_sparsebnn.runtime import benchmark
from keras_sparsebnn.tflite_file import read

MODES = ("circular", "pad", "none")


def write_file(path: Path, mode: str, size: int, classes: int) -> None:
    """BCDNet-A with random weights, plain 1-bit, as an LCE file."""
    # TensorFlow, so only when needed.
    from benchmarks.speed.network_files import as_if_trained
    from keras_sparsebnn import models
    from keras_sparsebnn._keras import keras
    from keras_sparsebnn.converters import convert_keras_model
    from keras_sparsebnn.layers import ChannelShift
    from keras_sparsebnn.transforms.cloning import clone_with

    def without(layer: Any) -> Any:
        if mode == "none" and isinstance(layer, ChannelShift):
            return keras.layers.Activation("linear", name=layer.name)
        return None

    keras.utils.set_random_seed(0)
    model = models.bcdnet_a(
        (size, size, 3),
        classes,
        codewords=512,
        kernel_quantizer="one_bit",
        shift="circular" if mode == "none" else mode,
    )
    model, _ = clone_with(as_if_trained(model), without)
    path.write_bytes(convert_keras_model(model))


def operators(path: Path) -> dict[str, int]:
    """How many of each kind a file has."""
    graphs = read(path.read_bytes()).subgraphs
    return dict(Counter(operator.name for graph in graphs for operator in graph.operators))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", type=int, default=224, help="rows and columns of images")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="of the files, which are kept")
    parser.add_argument("--only", choices=("files",), help="make the files, time nothing")
    parser.add_argument("-o", "--output", type=Path, help="default: results/...; - for none")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        paths = {mode: folder / f"bcdnet_a_{args.size}_{mode}.tflite" for mode in MODES}
        for mode, path in paths.items():
            if not path.is_file():
                write_file(path, mode, args.size, args.classes)
        if args.only:
            return 0
        header = environment()
        header["load"] = {"before": os.getloadavg()}
        timings = benchmark(
            list(map(str, paths.values())),
            num_threads=args.threads,
            runs=args.runs,
            runtime="delegate",
        )
        header["load"]["after"] = os.getloadavg()
        modes = {str(path): mode for mode, path in paths.items()}
        measured = {modes[timing.model]: timing for timing in timings}
        without = measured["none"].median_ms
        result: dict[str, Any] = {
            "version": 1,
            "benchmark": "channel_shifts",
            "environment": header,
            "setting": {"size": args.size, "runs": args.runs, "threads": args.threads},
            "operators": {mode: operators(path) for mode, path in paths.items()},
            "timings": {mode: {**t.to_dict(), "model": mode} for mode, t in measured.items()},
            "share": {mode: 1 - without / measured[mode].median_ms for mode in MODES[:2]},
        }
    for mode, timing in measured.items():
        print(f"{mode}: {timing.median_ms:.2f} ms, spread {timing.spread:.3f}")
    print({mode: f"{share:.1%}" for mode, share in result["share"].items()})
    if str(args.output) != "-":
        result_files.write("channel_shifts", result, args.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
