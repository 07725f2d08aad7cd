"""Runs a `.tflite` between marks for count_plugin.c; AArch64's Python under qemu executes this.

    marked_invoke.py MODEL DELEGATE|none OUTPUT GLUE

Standard library, NumPy and LiteRT only. OUTPUT gets JSON: `maps`, where shared libraries lie in
memory, and `profile`, the delegate's partitions with the kernel of every node. GLUE is 0 or 1;
with 0 every float op is LiteRT's, the stem too.
"""

import ctypes
import json
import os
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, load_delegate


def made(model, library, **options):
    """An interpreter with allocated tensors, and its delegate."""
    delegates = [] if library == "none" else [load_delegate(library, options)]
    interpreter = Interpreter(model, num_threads=1, experimental_delegates=delegates)
    interpreter.allocate_tensors()
    return interpreter, delegates


def profile(model, library, glue):
    """What the delegate says about its nodes, which it does when it is asked to take times."""
    interpreter, delegates = made(model, library, profile="1", glue=glue, stem=glue)
    function = ctypes.CDLL(library).sparsebnn_delegate_profile_json
    function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_char_p
    told = json.loads(function(delegates[0]._get_native_delegate_pointer()))
    del interpreter
    return told


def maps():
    """(first address, end, offset in the file, file's name) of every mapped file."""
    found = []
    with Path("/proc/self/maps").open() as lines:
        for line in lines:
            fields = line.split()
            if len(fields) > 5:
                first, end = (int(x, 16) for x in fields[0].split("-"))
                found.append((first, end, int(fields[2], 16), fields[5].rpartition("/")[2]))
    return found


def main():
    model, library, output, glue = sys.argv[1:]
    told = {"profile": None if library == "none" else profile(model, library, glue)}
    interpreter, _ = made(model, library, glue=glue, stem=glue)
    entry = interpreter.get_input_details()[0]
    values = np.random.default_rng(0).random(entry["shape"]).astype(entry["dtype"])
    interpreter.set_tensor(entry["index"], values)
    interpreter.invoke()  # warms up: packs, allocates
    for _ in range(2):  # counted, then sampled
        os.getppid()
        interpreter.invoke()
        os.getppid()
    told["maps"] = maps()
    Path(output).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
