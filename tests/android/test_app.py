"""The app: every test of tests/android/app, in TFLite's and our libraries for Android."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from android_demo.tools import apk, artifacts, assets
from keras_sparsebnn.converters.int8_weights import has_int8_weights
from keras_sparsebnn.devices import reports
from keras_sparsebnn.pretrained import KINDS, PretrainedModel, load, names
from keras_sparsebnn.tflite_file import ModelBuilder, Subgraph, Table, read
from tests.android import app_tests
from tests.android.conftest import need

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux",
    reason="the Android libraries under test are those for x86-64",
)

PACKAGE = "io.github.keras_sparsebnn.demo"
ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
IMAGES = ROOT / "docs" / "images" / "android"


@pytest.fixture(scope="session")
def java_tests(
    java_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> app_tests.JavaTests:
    """App and tests, compiled."""
    for group in ("tflite", "aapt2", "android", "android-test", "junit", "robolectric"):
        need(artifacts.fetch, group)
    work = tmp_path_factory.mktemp("app")
    need(apk.compile_app, work)
    return app_tests.prepare(tmp_path_factory.mktemp("tests"), work)


@pytest.fixture(scope="session")
def results(java_tests: app_tests.JavaTests, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By test, "passed" or what it printed."""
    folder = tmp_path_factory.mktemp("inputs")
    models = bad_models(folder / "models")
    expected = folder / "expected.json"
    expected.write_text(json.dumps(expectations()), "utf-8")
    return java_tests.run(app_tests.classes(), expected=expected, models=models)


def expectations() -> dict[str, Any]:
    """What Python says of the same models, images and numbers."""
    models = sorted((apk.ASSETS / "models").glob("*.tflite"))
    rng = np.random.default_rng(0)
    quantiles = []
    for count in (1, 2, 5, 50):
        values = np.sort(rng.exponential(size=count))
        for q in (0, 0.25, 0.5, 0.9, 1):
            result = float(np.quantile(values, q))
            quantiles.append({"values": values.tolist(), "q": q, "result": result})
    return {
        "probabilities": {
            path.name: softmax(assets.predict(path.read_bytes(), samples(path))).tolist()
            for path in models
        },
        "facts": [facts(path) for path in (*models, *sorted(GOLDEN.glob("*.tflite")))],
        "quantiles": quantiles,
    }


def of(path: Path) -> PretrainedModel:
    """The model whose labels and samples a file of the assets has."""
    (name,) = (name for name in names() if path.name.startswith(f"{name}_"))
    return load(name)


def samples(path: Path) -> np.ndarray:
    """Its samples as the app gives them to it: from PNGs of 8 bits, in float32."""
    from PIL import Image

    folder = apk.ASSETS / "samples" / of(path).name
    pixels = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.iterdir())])
    step = (np.float32(1) - np.float32(-1)) / np.float32(255)
    images = np.float32(-1) + step * pixels.astype(np.float32)
    return images.reshape(-1, *of(path).input_shape)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def facts(path: Path) -> dict[str, Any]:
    """What `ModelFacts` should find, from Python's reader."""
    file = read(path.read_bytes())
    graph = file.subgraphs[0]
    names = [operator.name for operator in graph.operators]
    binary = [name for name in names if name.startswith(("Lce", "Sparsebnn"))]
    kind = ["SUBBIT" if "SparsebnnBconv2d" in names else "ONE_BIT"] if binary else []
    if has_int8_weights(file) or path.stem == "digits_int8":
        kind.append("INT8")
    labels = ",".join(of(path).labels) if path.parent.name == "models" else ""
    return {
        "path": str(path),
        "kind": "_".join(kind) or "FLOAT",
        "operators": len(names),
        "binary": len(binary),
        "inputs": described(graph, graph.inputs),
        "outputs": described(graph, graph.outputs),
        "labels": labels,
    }


def described(graph: Subgraph, tensors: tuple[int, ...]) -> str:
    """Types and shapes as Java prints a list of them."""
    texts = []
    for tensor in (graph.tensors[index] for index in tensors):
        sides = tensor.table.integers("shape_signature") or tensor.shape
        texts.append(f"{tensor.dtype.lower()} {'x'.join(map(str, sides))}")
    return f"[{', '.join(texts)}]"


def bad_models(folder: Path) -> Path:
    """Files that are no models, or none that can be classified with."""
    folder.mkdir()
    good = (apk.ASSETS / "models" / "digits_subbit.tflite").read_bytes()
    files = {
        "other": good,
        "letter": b"Dear Sir or Madam,\n" * 100,
        "empty": b"",
        "cut": good[: len(good) // 2],
        "unknown_op": graph("MyOwnOp", ([1, 4, 4, 1], "float32")),
        "two_inputs": graph("ADD", ([1, 4, 4, 1], "float32"), ([1, 4, 4, 1], "float32")),
        "no_image": graph("RELU", ([1, 40], "float32")),
        "huge": graph("RELU", ([60_000, 60_000, 64], "float32")),
    }
    for name, data in files.items():
        (folder / f"{name}.tflite").write_bytes(data)
    return folder


def graph(operator: str, *inputs: tuple[list[int], str]) -> bytes:
    """A model of one operator, whose output is like its first input."""
    builder = ModelBuilder()
    tensors = [builder.activation(*one) for one in (*inputs, inputs[0])]
    options = Table("AddOptions") if operator == "ADD" else None
    builder.operator(operator, tensors[:-1], tensors[-1:], options)
    return builder.to_bytes(tensors[:-1], tensors[-1:])


def test_the_assets_are_the_packages(java_tests: app_tests.JavaTests):
    contents = json.loads((apk.ASSETS / "models.json").read_text("utf-8"))
    models = {model["file"]: model for model in contents["models"]}
    for model in map(load, names()):
        for kind in KINDS:
            file = f"{model.name}_{kind}.tflite"
            assert (apk.ASSETS / "models" / file).read_bytes() == model.path(kind).read_bytes()
            assert models[file]["accuracy"] == model.accuracy(kind)
            assert models[file]["images"] == model.card["data"]["test_images"]
            scores = assets.predict(model.path(kind).read_bytes(), samples(Path(file)))
            np.testing.assert_array_equal(scores.argmax(-1), np.arange(len(model.labels)))
        found = [sample for sample in contents["samples"] if sample["set"] == model.name]
        assert [sample["label"] for sample in found] == model.labels
    assert models.keys() == {path.name for path in (apk.ASSETS / "models").iterdir()}
    assert {sample["file"] for sample in contents["samples"]} == {
        path.relative_to(apk.ASSETS).as_posix() for path in apk.ASSETS.glob("samples/*/*")
    }
    peers = {"digits_float.tflite", "digits_int8.tflite"}
    assert peers < models.keys()
    for name in peers:
        assert models[name]["samples"] == "digits"
        assert models[name]["accuracy"] > 0.98


@pytest.mark.parametrize("test", app_tests.methods())
def test_java(test: str, results: dict[str, str]):
    assert results.get(test, results[""]) == "passed"


def test_the_report_has_the_format_of_the_command_line(
    results: dict[str, str], java_tests: app_tests.JavaTests
):
    assert results["BenchmarkTest.measuresEveryModel"] == "passed"
    report = json.loads((java_tests.folder / "report.json").read_text("utf-8"))
    model = apk.ASSETS / "models" / "digits_subbit.tflite"
    command = [sys.executable, "-m", "keras_sparsebnn", "benchmark", model, "--json"]
    command += ["--runs", "3", "--warmup", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    python = json.loads(done.stdout)
    assert python.keys() <= report.keys()
    assert report["machine"] == python["machine"].replace("x86_64", "amd64")
    (timing,) = (one for one in report["timings"] if one["model"] == model.name)
    assert_same_types(python["timings"][0], timing)
    python_nodes = next(iter(python["layers"].values()))
    nodes = report["layers"][model.name]
    for python_node, node in zip(python_nodes, nodes, strict=True):
        assert_same_types(python_node, node)
        for field in ("node", "op", "input_shape", "output_shape", "kernel"):
            assert node[field] == python_node[field]


def test_the_command_line_reads_what_the_instrumentation_prints(
    results: dict[str, str], java_tests: app_tests.JavaTests
):
    assert results["InstrumentedRunTest.reportsInOneLine"] == "passed"
    printed = json.loads((java_tests.folder / "instrumented.json").read_text("utf-8"))
    report = reports.checked(printed, "small.tflite", "adb:phone")
    (timing,) = report["timings"]
    assert (timing["model"], timing["runs"]) == ("small.tflite", 7)
    assert "SparsebnnBconv2d" in {node["op"] for node in report["layers"]["small.tflite"]}


def assert_same_types(python: dict[str, Any], java: dict[str, Any]) -> None:
    """Every field of the one is in the other; an integral float may be an integer there."""
    assert python.keys() <= java.keys()
    for name, value in python.items():
        kind = (int, float) if isinstance(value, float) else type(value)
        assert value is None or java[name] is None or isinstance(java[name], kind), name


def test_a_killed_benchmark_keeps_its_results(
    java_tests: app_tests.JavaTests, results: dict[str, str], tmp_path: Path
):
    assert results["BenchmarkTest.measuresEveryModel"] == "passed"
    name = f"{PACKAGE}.benchmark.BenchmarkTest"
    command = java_tests.command("RunTests", f"{name}#measuresUntilKilled", kept=tmp_path)
    running = subprocess.Popen(
        command,
        env=java_tests.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("benchmarks/*.json")):
            assert running.poll() is None, "it ended before it had written anything"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.5)  # while it is perhaps writing again
    finally:
        running.kill()
        running.wait()
    after = java_tests.run([f"{name}#keptWhatItHad"], kept=tmp_path)
    assert after["BenchmarkTest.keptWhatItHad"] == "passed", after


@pytest.mark.parametrize("name", ["classify", "benchmark", "results", "models"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_documentation_has_every_screen(name: str, theme: str):
    image = IMAGES / f"{name}-{theme}.png"
    assert image.is_file(), "run: python -m tests.android.screenshots"
