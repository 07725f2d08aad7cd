"""How long `sparsebnn --help` and `import keras_sparsebnn.runtime` take.

    python -m benchmarks.speed.startup    # writes benchmarks/results/startup-<date>.json

Every measurement is a process of its own, start and end included. The commands take turns;
`python -c pass` and `import numpy` show what the interpreter and NumPy alone cost.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import result_files
from benchmarks.environment import environment

LIMITS = {"sparsebnn --help": 0.3, "import keras_sparsebnn.runtime": 0.5}


def commands() -> dict[str, list[str]]:
    python = [sys.executable, "-c"]
    script = shutil.which("sparsebnn", path=str(Path(sys.executable).parent))
    return {
        "python -c pass": [*python, "pass"],
        "import numpy": [*python, "import numpy"],
        "import keras_sparsebnn": [*python, "import keras_sparsebnn"],
        "import keras_sparsebnn.runtime": [*python, "import keras_sparsebnn.runtime"],
        "sparsebnn --help": [script or sys.exit("Run: pip install -e ."), "--help"],
        "python -m keras_sparsebnn --help": [*python[:1], "-m", "keras_sparsebnn", "--help"],
    }


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    args = parser.parse_args()
    header = environment()
    measured: dict[str, list[float]] = {name: [] for name in commands()}
    for command in commands().values():
        seconds(command)  # from disk into the page cache
    for _ in range(args.runs):
        for name, command in commands().items():
            measured[name].append(seconds(command))
    medians = {name: round(statistics.median(times), 4) for name, times in measured.items()}
    result = {
        "version": 1,
        "benchmark": "startup",
        "environment": header,
        "limits_seconds": LIMITS,
        "median_seconds": medians,
        "seconds": {name: [round(t, 4) for t in times] for name, times in measured.items()},
    }
    result_files.write("startup", result)
    for name, median in medians.items():
        limit = f"  (limit {LIMITS[name]} s)" if name in LIMITS else ""
        print(f"{median:7.3f} s  {name}{limit}")
    return int(any(medians[name] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
