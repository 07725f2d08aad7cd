"""Processes that fork after an inference with threads: `multiprocessing`, pre-forking servers.

Each program runs in a process of its own, which is stopped when it hangs.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PATIENCE = 60  # seconds; each program takes two

COMMON = """
import gc, multiprocessing, os, sys, threading, time
import numpy as np

x = np.load(sys.argv[1])
expected = np.load(sys.argv[2])

def check(predict):
    assert np.array_equal(predict(), expected)
    return True

def forked(run):
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        run()
        code = 0
    finally:
        os._exit(code)

def wait_for(children):
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
"""

STOCK = """
library, model = sys.argv[3], open(sys.argv[4], "rb").read()
litert = __import__(sys.argv[5], fromlist=["interpreter"])

def make():
    delegate = litert.load_delegate(library, {"num_threads": "3"})
    interpreter = litert.Interpreter(model_content=model, experimental_delegates=[delegate])
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    def predict():
        interpreter.set_tensor(source["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])
    return predict
"""

OURS = """
from keras_sparsebnn.runtime import Interpreter

def make():
    interpreter = Interpreter(sys.argv[4], num_threads=3, runtime=sys.argv[5])
    return lambda: interpreter.predict(x)
"""

SERVER = """
# Several workers, forked one after another; one of them forks again; the parent goes on.
predict = make()
check(predict)
children = []
for _ in range(4):
    children.append(forked(lambda: [check(predict) for _ in range(3)]))
    check(predict)
children.append(forked(lambda: (check(predict), wait_for([forked(lambda: check(predict))]))))
wait_for(children)
check(predict)
"""

POOL = """
predict = make()
check(predict)

def work(_):
    return check(predict)

with multiprocessing.get_context("fork").Pool(3) as pool:
    assert pool.map_async(work, range(12)).get(timeout=40) == [True] * 12
check(predict)
"""

BUSY = """
# The parent's other thread is at work in an interpreter of its own while the workers fork.
predict, other = make(), make()
check(predict)
stop = threading.Event()

def work():
    while not stop.is_set():
        check(other)

thread = threading.Thread(target=work)
thread.start()
children = [forked(lambda: check(predict)) for _ in range(6)]
check(predict)
wait_for(children)
stop.set()
thread.join()
check(other)
"""

UNUSED = """
# A child that never runs the model, and removes it or ends as any program does.
predict = make()
check(predict)

def remove():
    global predict
    del predict
    gc.collect()

wait_for([forked(remove)])
child = os.fork()
if child == 0:
    sys.exit(0)
wait_for([child])
check(predict)
"""

PROGRAMS = {"server": SERVER, "pool": POOL, "busy": BUSY, "unused": UNUSED}


@pytest.fixture(scope="module")
def layer(op_model, tmp_path_factory):
    """Paths of an input, the output of it, and a model large enough for threads."""
    rng = np.random.default_rng(0)
    model = op_model()
    x = model.activation([1, 28, 28, 128], "float32")
    bits = model.activation([1, 28, 28, 4], "int32")
    y = model.activation([1, 28, 28, 128], "float32")
    weights = rng.integers(-(2**31), 2**31, (128, 3, 3, 4)).astype(np.int32)
    per_channel = [rng.normal(size=128).astype(np.float32) for _ in range(2)]
    constants = [model.constant(value) for value in (weights, *per_channel)]
    model.operator("LceQuantize", [x], [bits])
    options = {"channels_in": 128, "padding": 0, "pad_values": 1}
    options |= {"stride_height": 1, "stride_width": 1, "fused_activation_function": 0}
    options |= {"dilation_height_factor": 1, "dilation_width_factor": 1}
    model.operator("LceBconv2d", [bits, *constants, -1], [y], options)
    folder = tmp_path_factory.mktemp("fork")
    (folder / "model.tflite").write_bytes(model.to_bytes([x], [y]))
    np.save(folder / "x.npy", rng.normal(size=(1, 28, 28, 128)).astype(np.float32))
    return folder


def run(layer, make: str, program: str, *arguments: str) -> None:
    script = "\n".join((COMMON, make, program))
    expected = layer / "expected.npy"
    if not expected.is_file():
        from keras_sparsebnn.runtime import Interpreter

        model = Interpreter(layer / "model.tflite", kernel="reference")
        np.save(expected, model.predict(np.load(layer / "x.npy")))
    command = [sys.executable, "-c", script, str(layer / "x.npy"), str(expected), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"no end after {PATIENCE} s")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_delegate_in_stock_tflite(layer, runner, program):
    model = str(layer / "model.tflite")
    run(layer, STOCK, PROGRAMS[program], runner.library, model, runner.runtime.__name__)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("runtime", ["delegate", "lce"])
def test_interpreter(layer, runner, program, runtime):
    if runtime == "lce":
        pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")
    model = str(layer / "model.tflite")
    run(layer, OURS, PROGRAMS[program], runner.library, model, runtime)
