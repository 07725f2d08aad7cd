"""The tables of docs/oblivious.md: ANDs of one output, and what two processes took."""

from __future__ import annotations

from benchmarks.result_files import newest
from docs.generate.pages import Tables, commit, markdown
from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS
from keras_sparsebnn.oblivious.cost import ands_of_count

_TAPS = (72, 288, 576, 1152)


def ands() -> str:
    rows = [
        [f"`{name}`", *(f"{ands_of_count(taps, name):,}" for taps in _TAPS)]
        for name in ACCUMULATORS
    ]
    return markdown(["ANDs of one output", *(f"N = {taps}" for taps in _TAPS)], rows)


def speed() -> str:
    """Seconds and bytes of the newest run."""
    result = newest("oblivious")
    where, ands_of_image = result["environment"], result["ands"]["lba"]
    rows = []
    for run in result["rows"]:
        images = run["images"]
        sent = max(run["warm_bytes"]) / images
        rows.append(
            [
                str(images),
                f"{run['session_s']:.1f}",
                f"{run['cold_s']:.2f}",
                f"{run['warm_s']:.2f}",
                f"{1000 * run['warm_s'] / images:,.0f}",
                f"{max(run['cold_bytes']) / 1e6:.2f}",
                f"{sent / 1e6:.3f}",
                f"{8 * sent / ands_of_image:.2f}",
            ]
        )
    header = ["images at once", "session [s]", "first batch [s]", "next ones [s]"]
    header += ["an image [ms]", "first batch [MB]", "MB an image", "bits an AND"]
    machine = where["machine"]
    return (
        f"{markdown(header, rows)}\n\nThe network `oblivious` on digits, "
        f"{ands_of_image:,} ANDs an image; bytes each way, the larger of both; medians of "
        f"{result['warm_batches']} batches. SPU {result['spu']}, both processes on one "
        f"machine: {machine['cpu']}, {machine['cores']} cores. "
        f"`python -m benchmarks.speed.oblivious model.tflite`, {where['date']}, "
        f"{commit(where['commit'])}."
    )


TABLES: Tables = {"oblivious_ands": ands, "oblivious_speed": speed}
