"""What two and four threads gain, from the newest benchmarks/results/thread_gain-*.json."""

from __future__ import annotations

from benchmarks.result_files import newest
from docs.generate.pages import Tables, markdown
from docs.generate.speed import source


def thread_gain() -> str:
    result = newest("thread_gain")
    rows = []
    for model in result["models"]:
        milliseconds = model["ms"]
        ours = {t: sum(op["us"][t] for op in model["ops"]) / 1e3 for t in milliseconds}
        rest = {t: milliseconds[t] - ours[t] for t in milliseconds}
        parts = [(ours, "2"), (rest, "2"), (milliseconds, "2"), (milliseconds, "4")]
        rows.append(
            [
                model["model"]
                .removesuffix(" lce.tflite")
                .replace(" layers.tflite", ", int8 layers"),
                f"{milliseconds['1']:.2f} ms",
                *(f"{times['1'] / times[t]:.2f}x" for times, t in parts),
                f"{model['ceiling']:.2f}x",
            ]
        )
    header = ["LCE file", "1 thread", "2: the delegate's ops", "2: the rest"]
    header += ["2 threads", "4 threads", "two processes"]
    return (
        f"{markdown(header, rows)}\n\nMedians of {result['setting']['runs']} inferences, "
        f"interleaved. {source(result, 'thread_gain')}."
    )


TABLES: Tables = {"thread_gain": thread_gain}
