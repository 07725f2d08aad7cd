"""Test accuracy on all of Fashion-MNIST: 1-bit, learned, covering and random selection.

Every run has the same network, budget and data order for one seed. The result file is
rewritten after each run; runs that are in it already are skipped, so it can be stopped at any
time and repeated with more seeds.

    python benchmarks/selection_accuracy.py --data-dir DIR_WITH_FASHION_MNIST
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
from environment import environment

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.models import small
from keras_sparsebnn.quantizers import FixedSubset, SparseKernel

METHODS = {
    "one_bit": lambda n: "ste_sign",
    "learned": SparseKernel,
    "learned_paper": SparseKernel.paper,
    "learned_covering": lambda n: SparseKernel(n, initial_selection="covering"),
    "covering": lambda n: SparseKernel(n, initial_selection="covering", refresh_interval=0),
    "random": FixedSubset,
}
WIDTHS = (32, 64, 64, 64)
BATCH = 128
LEARNING_RATE = 3e-3


def load(data_dir: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    import tensorflow_datasets as tfds

    splits = {}
    for split in ("train", "test"):
        whole = tfds.load(
            "fashion_mnist", data_dir=data_dir, split=split, batch_size=-1, download=False
        )
        pictures = whole["image"].numpy().astype(np.float32) / 127.5 - 1
        splits[split] = pictures, whole["label"].numpy()
    return splits


def run(method: str, codewords: int, seed: int, epochs: int, splits) -> dict:
    started = time.perf_counter()
    keras.utils.set_random_seed(seed)
    model = small(
        (28, 28, 1), 10, widths=WIDTHS, codewords=codewords, kernel_quantizer=METHODS[method]
    )
    pictures, labels = splits["train"]
    steps = len(pictures) // BATCH
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps * epochs)
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    quantizers = [
        layer.kernel_quantizer for layer in model.layers if hasattr(layer, "kernel_quantizer")
    ]

    def selections() -> list[set[int]]:
        return [
            set(q.selection.numpy().tolist()) for q in quantizers if hasattr(q, "selection")
        ]

    history, changed = [], []
    order = np.random.default_rng(seed)
    for _ in range(epochs):
        before = selections()
        chosen = order.permutation(len(pictures))[: steps * BATCH]
        batches = tf.data.Dataset.from_tensor_slices((pictures[chosen], labels[chosen]))
        logs = model.fit(batches.batch(BATCH), verbose=0).history
        history.append({"loss": logs["loss"][0], "accuracy": logs["accuracy"][0]})
        changed.append([len(a - b) for a, b in zip(before, selections(), strict=True)])
    loss, accuracy = model.evaluate(*splits["test"], batch_size=500, verbose=0)
    return {
        "method": method,
        "codewords": codewords,
        "seed": seed,
        "epochs": epochs,
        "test_accuracy": accuracy,
        "test_loss": loss,
        "history": history,
        "codewords_changed_per_epoch_and_layer": changed,
        "seconds": time.perf_counter() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="TFDS folder with fashion_mnist")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--codewords", type=int, nargs="+", default=[32, 16])
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        default=["one_bit", "learned", "random", "covering"],
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--policy", default="mixed_bfloat16")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    out = args.out or Path(__file__).parent / "results" / (
        f"selection_accuracy-{time.strftime('%Y-%m-%d')}.json"
    )
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    keras.mixed_precision.set_global_policy(args.policy)
    splits = load(args.data_dir)
    if out.exists():
        result = json.loads(out.read_text())
    else:
        result = {
            "environment": environment(),
            "network": {"model": "small", "widths": WIDTHS, "policy": args.policy},
            "recipe": {
                "optimizer": "adam",
                "learning_rate": LEARNING_RATE,
                "schedule": "cosine",
                "batch": BATCH,
                "defaults_of_SparseKernel": {
                    key: value
                    for key, value in SparseKernel(seed=0).get_config().items()
                    if key not in ("name", "seed", "trainable", "codewords")
                },
            },
            "runs": [],
        }
    key = ("method", "codewords", "seed", "epochs")
    done = {tuple(r[k] for k in key) for r in result["runs"]}
    for seed, method, codewords in itertools.product(args.seeds, args.methods, args.codewords):
        n = 512 if method == "one_bit" else codewords
        if (method, n, seed, args.epochs) in done:
            continue
        done.add((method, n, seed, args.epochs))
        result["runs"].append(run(method, n, seed, args.epochs, splits))
        last = result["runs"][-1]
        print(
            method,
            n,
            seed,
            f"{last['test_accuracy']:.4f} in {last['seconds']:.0f} s",
            flush=True,
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_suffix(".partial")
        partial.write_text(json.dumps(result, indent=1) + "\n")
        partial.replace(out)


if __name__ == "__main__":
    main()
