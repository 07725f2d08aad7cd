"""Training throughput with one worker process and with two, one CPU core each.

Weak scaling: every worker trains the same number of images a step, on made-up images of
224x224, through `tf.distribute.MultiWorkerMirroredStrategy` and gRPC on this machine. Runs with
one and two workers alternate, so that a machine that is busy for a while slows down both.

    python -m benchmarks.speed.worker_scaling
    python -m benchmarks.speed.worker_scaling --model resnet18 --batch 4 --steps 10 --repeats 3
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.environment import environment

IMAGE_SIZE = 224
WARM_UP = 3  # steps; the first one compiles


def worker(args: argparse.Namespace) -> None:
    """One process: prints its seconds a step as a JSON list."""
    os.sched_setaffinity(0, {args.core})
    from keras_sparsebnn._keras import tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from keras_sparsebnn import data
    from keras_sparsebnn.training import RunConfig
    from keras_sparsebnn.training.run.assembly import compiled_model
    from keras_sparsebnn.training.run.strategies import start

    batch = args.batch * args.workers
    images = batch * (WARM_UP + args.steps)
    config = RunConfig(
        dataset=f"synthetic/{images}",
        model=args.model,
        augmentation="resized_crop",
        batch_size=batch,
        strategy="multi_worker",
    )
    # One worker goes through the same strategy: what is compared is the number alone.
    cluster = start(config)
    dataset = data.load(config.dataset, image_size=IMAGE_SIZE, augmentation=config.augmentation)
    with cluster.strategy.scope():
        model = compiled_model(config, dataset, WARM_UP + args.steps)
    batches = iter(
        cluster.strategy.distribute_datasets_from_function(
            lambda context: dataset.train(
                0,
                0,
                batch,
                worker=context.input_pipeline_id,
                workers=context.num_input_pipelines,
                replicas=context.num_replicas_in_sync,
            )
        )
    )
    step = model.make_train_function()
    seconds = []
    for _ in range(WARM_UP + args.steps):
        started = time.perf_counter()
        loss = float(step(batches)["loss"])  # waits for the step
        seconds.append(time.perf_counter() - started)
    assert loss == loss, "the loss is no number"
    print(json.dumps(seconds[WARM_UP:]), flush=True)
    cluster.any(False)  # leave together


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def measure(args: argparse.Namespace, workers: int, cores: list[int]) -> list[float]:
    """Seconds of each step, of the slower worker."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    processes = []
    for index in range(workers):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        command = [sys.executable, "-W", "ignore", "-m", __spec__.name, "--worker"]
        command += ["--core", str(cores[index]), "--workers", str(workers)]
        command += ["--model", args.model, "--batch", str(args.batch)]
        command += ["--steps", str(args.steps)]
        variables = {**os.environ, "TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": ""}
        processes.append(
            subprocess.Popen(
                command,
                env=variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    times = []
    try:
        for process in processes:
            output, errors = process.communicate(timeout=3600)
            if process.returncode:
                raise SystemExit(f"a worker failed:\n{errors[-3000:]}")
            times.append(json.loads(output.splitlines()[-1]))
    finally:
        for process in processes:
            process.kill()
    return [max(step) for step in zip(*times, strict=True)]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--batch", type=int, default=4, help="images a worker and step")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each run")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs with each number of workers"
    )
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/, dated")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker:
        worker(args)
        return 0
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit(f"Expected two CPU cores, one for each worker, got {len(cores)}.")
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for repeat in range(args.repeats):
        for workers, found in seconds.items():
            # With one worker each core takes its turn, in case they differ.
            turned = cores[repeat % 2 : 2] + cores[: repeat % 2]
            found += measure(args, workers, turned)
    medians = {workers: statistics.median(found) for workers, found in seconds.items()}
    rates = {workers: workers * args.batch / median for workers, median in medians.items()}
    result: dict[str, Any] = {
        "environment": environment(),
        "setting": {
            "model": args.model,
            "image_size": IMAGE_SIZE,
            "batch_per_worker": args.batch,
            "steps": args.steps,
            "repeats": args.repeats,
            "load_average": os.getloadavg(),
        },
        "seconds_per_step": seconds,
        "median_seconds_per_step": medians,
        "images_per_second": rates,
        "scaling": rates[2] / rates[1],
    }
    for workers, rate in rates.items():
        print(f"{workers} worker(s): {rate:.2f} images/s, {medians[workers]:.2f} s a step")
    print(f"scaling from 1 to 2 workers: {result['scaling']:.2f}x")
    result_files.write("worker_scaling", result, args.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
