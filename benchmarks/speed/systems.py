"""Bits, operations, file bytes and latency of the networks of accuracy/systems/matrix.json.

    sparsebnn experiment benchmarks/accuracy/systems/matrix.json --out DIR --runs-dir RUNS ...
    python -m benchmarks.speed.systems --runs-dir RUNS    # writes results/systems-<date>.json

Of each variant that is trained the model of the first seed: its LCE file and its sub-bit file,
which take turns with all others, each in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.environment import environment
from keras_sparsebnn.runtime import benchmark

MATRIX = result_files.ROOT / "benchmarks" / "accuracy" / "systems" / "matrix.json"
FORMATS = ("lce", "subbit")


def measured(run: Any, folder: Path, files: Path) -> dict[str, Any]:
    """What one trained model costs; its files go to `files`."""
    from keras_sparsebnn.analysis.summaries import summary
    from keras_sparsebnn.converters import convert_keras_model
    from keras_sparsebnn.saved_models import load_model

    model = load_model(folder / run.name / "model.keras")
    found = summary(model)
    sizes = {}
    for kind in FORMATS:
        path = files / f"{run.variant}.n{run.config.codewords}.{kind}.tflite"
        path.write_bytes(convert_keras_model(model, kind))
        sizes[kind] = path.stat().st_size
    return {
        "variant": run.variant,
        "codewords": run.config.codewords,
        "network": run.config.model,
        "binary_weights": found.totals.weights,
        "other_parameters": found.other_parameters,
        "mbit": found.totals.mbit,
        "bops": 1e9 * found.totals.gbops,
        "bytes": sizes,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.systems", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--runs-dir", required=True, type=Path, help="of the experiment")
    parser.add_argument("--runs", type=int, default=200, help="inferences of each file")
    args = parser.parse_args()
    from keras_sparsebnn.experiments import Matrix

    runs = [
        run
        for run in Matrix.load(MATRIX).runs
        if run.config.seed == 0 and (args.runs_dir / run.name / "model.keras").is_file()
    ]
    if not runs:
        raise SystemExit(
            f"Expected trained runs of {MATRIX.name} in {args.runs_dir}, got none."
        )
    header = environment()
    with tempfile.TemporaryDirectory() as temporary:
        files = Path(temporary)
        rows = [measured(run, args.runs_dir, files) for run in runs]
        paths = sorted(files.glob("*.tflite"))
        header["load"] = {"before": os.getloadavg()}
        timings = benchmark(list(map(str, paths)), runs=args.runs, runtime="delegate")
        header["load"]["after"] = os.getloadavg()
    found = {Path(timing.model).name: timing for timing in timings}
    for row in rows:
        stem = f"{row['variant']}.n{row['codewords']}"
        row["median_ms"] = {k: found[f"{stem}.{k}.tflite"].median_ms for k in FORMATS}
        row["spread"] = {k: found[f"{stem}.{k}.tflite"].spread for k in FORMATS}
        print(f"{stem}: {row['median_ms']}, {row['bytes']}")
    setting = {"runs": args.runs, "threads": 1}
    result = {
        "version": 1,
        "benchmark": "systems",
        "environment": header,
        "setting": setting,
        "systems": rows,
    }
    result_files.write("systems", result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
