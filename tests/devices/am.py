"""Android's `am` of a test's phone, as far as it is used.

`am instrument` prints what the app's instrumentation prints on Android; the measuring itself is
another program's, which takes and gives what `keras_sparsebnn.devices.board_process` does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PHONE = Path(os.environ["PHONE"])


def main(*arguments: str) -> None:
    if (said := PHONE / "am_says").exists():
        print(said.read_text())
        return
    assert arguments[:3] == ("instrument", "-w", "-r")
    assert arguments[-1].endswith("/.benchmark.BenchmarkInstrumentation")
    extras = {}
    for flag, name, value in zip(*[iter(arguments[3:-1])] * 3, strict=True):
        assert flag == "-e"
        extras[name] = value
    order = {
        "models": [extras["model"]],
        "num_threads": int(extras["threads"]),
        "warmup": int(extras["warmup"]),
        "runs": int(extras["runs"]),
        "runtime": "delegate",
    }
    measured = subprocess.Popen(
        os.environ["MEASURE"].split("\n"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with measured:
        measured.stdin.write(json.dumps(order) + "\n")
        measured.stdin.close()
        for line in measured.stdout:
            message = json.loads(line)
            for name in ("done", "total"):
                if name in message:
                    print(f"INSTRUMENTATION_STATUS: {name}={message[name]}")
            if "done" in message:
                print("INSTRUMENTATION_STATUS_CODE: 1", flush=True)
            elif "error" in message:
                print(f"INSTRUMENTATION_RESULT: error={message['error']}")
            else:
                print(f"INSTRUMENTATION_RESULT: report={json.dumps(message['report'])}")
    print("INSTRUMENTATION_CODE: -1")


if __name__ == "__main__":
    main(*sys.argv[1:])
