"""Oblivious inference on loopback: seconds and bytes of one image, and of 32 at once.

    sparsebnn train --recipe oblivious --out run/ && sparsebnn convert run/ -o model.tflite
    python -m benchmarks.speed.oblivious model.tflite [--output FILE]

Two processes on this machine, and a session for each number of images. "Cold" is a session's
first batch, which also makes the correlated randomness that later ones use; "warm" the median
of the next ones. Bytes are counted by a relay, in a session of its own; it sees all that the
two sides say to each other, heads of messages included. Classes have to be those of LCE's file
in the delegate, and of the circuit in the clear, for the last images of the digits.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import result_files
from benchmarks.environment import environment
from keras_sparsebnn.oblivious import ACCUMULATORS, Client, and_count, evaluate, read_program
from keras_sparsebnn.runtime import Interpreter

BATCHES = (1, 32)
WARM = 5


Images = npt.NDArray[np.float32]


def images_of_digits(count: int) -> Images:
    from sklearn.datasets import load_digits

    images = load_digits().images[-count:, :, :, None]
    return (images / 8 - 1).astype(np.float32)


class Measured:
    """One session: seconds of its parts, and bytes that had gone by after each batch."""

    def __init__(self, server: tuple[str, int], images: Images, relayed: bool) -> None:
        self.seconds: list[float] = []
        self.bytes: list[list[int]] = []
        with tempfile.TemporaryDirectory() as folder:
            records = [Path(folder) / name for name in ("to_server", "to_client")]
            with socket.create_server(("127.0.0.1", 0)) as probe:
                link_port = probe.getsockname()[1]
            relay = None
            if relayed:
                arguments = [str(server[1]), str(link_port), *map(str, records)]
                relay = subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.speed.relay", *arguments],
                    stdout=subprocess.PIPE,
                )
                assert relay.stdout is not None
                relay.stdout.readline()
                server = ("127.0.0.2", server[1])
            try:
                start = time.perf_counter()
                with Client(server, batch=len(images), link_port=link_port) as client:
                    self.session = time.perf_counter() - start
                    for _ in range(1 + WARM):
                        before = [path.stat().st_size for path in records] if relay else []
                        start = time.perf_counter()
                        self.classes = client.classify(images)
                        self.seconds.append(time.perf_counter() - start)
                        after = [path.stat().st_size for path in records] if relay else []
                        self.bytes.append([b - a for a, b in zip(before, after, strict=True)])
            finally:
                if relay is not None:
                    relay.kill()
                    relay.communicate()


def row(model: str, server: tuple[str, int], count: int) -> dict[str, Any]:
    program, images = read_program(model), images_of_digits(count)
    direct, relayed = (Measured(server, images, way) for way in (False, True))
    scores = np.asarray(Interpreter(model).predict(images)).reshape(count, -1)
    for found in (direct.classes, relayed.classes, scores.argmax(-1)):
        if not np.array_equal(found, evaluate(program, images)):
            raise SystemExit("Expected the classes of the circuit in the clear, got others.")
    warm = np.median(relayed.bytes[1:], axis=0).astype(int).tolist()
    return {
        "images": count,
        "session_s": round(direct.session, 2),
        "cold_s": round(direct.seconds[0], 3),
        "warm_s": round(statistics.median(direct.seconds[1:]), 3),
        "cold_bytes": relayed.bytes[0],
        "warm_bytes": warm,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    header = environment()
    command = [sys.executable, "-m", "keras_sparsebnn", "oblivious", "serve", args.model]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--json"], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            address = ("127.0.0.1", json.loads(process.stdout.readline())["port"])
            rows = [row(args.model, address, count) for count in BATCHES]
        finally:
            process.terminate()
    architecture = read_program(args.model).architecture
    result = {
        "version": 1,
        "benchmark": "oblivious",
        "environment": header,
        "spu": metadata.version("spu"),
        "warm_batches": WARM,
        "input": list(architecture.input),
        "classes": architecture.classes,
        "architecture": architecture.digest,
        "ands": {name: and_count(architecture, name) for name in ACCUMULATORS},
        "rows": rows,
    }
    result_files.write("oblivious", result, args.output)


if __name__ == "__main__":
    main()
