"""examples/watch.py as a service: a folder, a camera, systemd's protocol; its unit file."""

from __future__ import annotations

import configparser
import contextlib
import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.tflite_file import ModelBuilder, Table

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
UNIT = EXAMPLES / "systemd" / "sparsebnn-watch.service"
# A board has neither.
WITHOUT_TENSORFLOW = (
    "import runpy, sys; sys.modules.update(tensorflow=None, larq=None, PIL=None); "
    "sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv[0].rpartition('/')[0]); "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


# A signal at every step of what the main thread does with a Stop, one step at a time.
SIGNAL_AT_EVERY_STEP = """
import signal, sys
sys.path.insert(0, sys.argv[1])
import watch
step = at = 0
def trace(frame, event, argument):
    global step
    step += 1
    if step == at:
        signal.raise_signal(signal.SIGTERM)
    return trace
while step >= at:
    stop, step, at = watch.Stop(), 0, at + 1
    sys.settrace(trace)
    stop.is_set(), stop.wait(0.001)
    sys.settrace(None)
    assert stop.is_set() == (step >= at)
print(at)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Two classes of 4x4 grey images: the left column, and the right one."""
    builder = ModelBuilder()
    x = builder.activation([1, 4, 4, 1], "float32")
    weights = np.zeros((2, 16), np.float32)
    weights[0, 0::4] = 1
    weights[1, 3::4] = 1
    inputs = [x, builder.constant(weights), builder.constant(np.zeros(2, np.float32))]
    y = builder.activation([1, 2], "float32")
    builder.operator("FULLY_CONNECTED", inputs, [y], Table("FullyConnectedOptions"))
    path = tmp_path_factory.mktemp("model") / "sides.tflite"
    path.write_bytes(builder.to_bytes([x], [y]))
    return path


def pgm(side: int, height: int = 8, width: int = 12) -> bytes:
    """Grey, and white at one side of its middle square."""
    image = np.full((height, width), 90, np.uint8)
    edge = (width - height) // 2
    image[:, edge : edge + 2] = 255 * (side == 0)
    image[:, edge + height - 2 : edge + height] = 255 * (side == 1)
    return b"P5\n%d %d\n255\n" % (width, height) + image.tobytes()


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, EXAMPLES / "watch.py", *arguments]
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **environment},
    )


@contextlib.contextmanager
def killed(process: subprocess.Popen[str]) -> Iterator[None]:
    """Ends the process with the block, also where the block failed."""
    try:
        yield
    finally:
        process.kill()


def test_a_signal_at_any_moment():
    command = [sys.executable, "-c", SIGNAL_AT_EVERY_STEP, EXAMPLES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) > 5


def test_a_folder_under_systemds_protocol(model, tmp_path):
    incoming, labels = tmp_path / "incoming", tmp_path / "labels.txt"
    incoming.mkdir()
    labels.write_text("left\nright\n")
    (incoming / "a.pgm").write_bytes(pgm(0))
    # None of these ends the service, which systemd would start again beside the same file.
    (incoming / "broken.pgm").write_bytes(b"P5")
    (incoming / "comments.pgm").write_bytes(b"P5\n" + b"# " * 5000)
    arrays = {
        "line": np.zeros(4, np.uint8),
        "tall": np.zeros((9000, 1), np.uint8),
        "empty": np.zeros((0, 4), np.uint8),
        "five": np.zeros([1] * 5, np.uint8),
        "pairs": np.zeros((4, 4), "u1,u1"),
        "dates": np.zeros((4, 4), "M8[s]"),
        "nan": np.full((4, 4), np.nan, np.float32),
    }
    for name, array in arrays.items():
        np.save(incoming / f"{name}.npy", array)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        running = start(
            *(model, "--folder", incoming, "--labels", labels, "--every", 0.1),
            NOTIFY_SOCKET=str(tmp_path / "notify"),
        )
        with running, killed(running):
            assert systemd.recv(100) == b"READY=1"
            first = json.loads(running.stdout.readline())
            assert (first["source"], first["class"]) == ("a.pgm", "left")
            (incoming / ".b.pgm").write_bytes(pgm(1))
            (incoming / ".b.pgm").rename(incoming / "b.pgm")
            second = json.loads(running.stdout.readline())
            assert (second["source"], second["class"]) == ("b.pgm", "right")
            assert systemd.recv(100) == b"WATCHDOG=1"
            # A systemd that does not read: no place is left for what the service says.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
                other.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        other.sendto(b"", systemd.getsockname())
            running.send_signal(signal.SIGTERM)
            out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (0, "")
    assert "sides.tflite in litert" in err
    assert "Expected a binary PGM or PPM" in err
    for name in (*arrays, "comments"):
        assert f"{name}.npy" in err or f"{name}.pgm" in err


def test_a_camera(model, tmp_path):
    frames = np.full((3, 8, 12), 90, np.uint8)
    frames[:2, :, 8:10] = 255
    frames[2, :, 2:4] = 255
    camera = tmp_path / "camera.py"
    # YUV 4:2:0: brightness, then colours at a quarter of its size.
    (tmp_path / "frames").write_bytes(b"".join(f.tobytes() + bytes(2 * 4 * 6) for f in frames))
    camera.write_text(
        "import sys, time\n"
        f"data = open({str(tmp_path / 'frames')!r}, 'rb').read()\n"
        "sys.stdout.buffer.write(data)\n"
    )
    command = shlex.join([sys.executable, str(camera)])
    done = start(model, "--camera", command, "--size", "12x8", "--every", "0")
    with done, killed(done):
        out, err = done.communicate(timeout=60)
    assert [json.loads(line)["class"] for line in out.splitlines()] == ["1", "1", "0"]
    assert (done.returncode, err.splitlines()[-1][:29]) == (2, "watch: Expected frames, but t")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--camera", "cat", "--size", "00x480"], "Expected WIDTHxHEIGHT, got 00x480"),
        (["--camera", ""], "Expected a camera's command, got none"),
        (["--folder", ".", "--every", "inf"], "Expected 0 to 86400 seconds, got inf"),
        (["--folder", ".", "--every", "nan"], "Expected 0 to 86400 seconds, got nan"),
        (["--folder", ".", "--every", "-1"], "Expected 0 to 86400 seconds, got -1"),
    ],
)
def test_wrong_options(model, options, message):
    running = start(model, *options)
    with running, killed(running):
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_a_model_of_something_else(tmp_path):
    builder = ModelBuilder()
    x, y = (builder.activation([1, 4, 4, 1], "float32") for _ in range(2))
    builder.operator("RELU", [x], [y])
    (tmp_path / "m.tflite").write_bytes(builder.to_bytes([x], [y]))
    running = start(tmp_path / "m.tflite", "--folder", ".")
    with running, killed(running):
        assert "to scores [N, classes], got" in running.communicate(timeout=60)[1]


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((8, 12, 1), (4, 4, 1)), ((9, 7, 3), (3, 3, 1)), ((2, 3, 1), (4, 4, 3))],
)
def test_fit_keeps_the_mean_of_a_flat_image(shape, wanted, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    from watch import fit

    fitted = fit(np.full(shape, 77, np.uint8), *wanted)
    assert fitted.shape == wanted
    np.testing.assert_allclose(fitted, 77, rtol=1e-6)


def test_fit_averages_areas(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    from watch import fit

    image = np.arange(8 * 8).reshape(8, 8, 1)
    expected = image.reshape(4, 2, 4, 2).mean(axis=(1, 3))[..., None]
    np.testing.assert_allclose(fit(image, 4, 4, 1), expected)


def test_the_unit_runs_the_example():
    unit = configparser.ConfigParser(strict=True)
    unit.optionxform = str
    unit.read(UNIT)
    service = unit["Service"]
    assert service["Type"] == "notify"
    _, script, _, *options = shlex.split(service["ExecStart"])
    assert (EXAMPLES / Path(script).name).is_file()
    folder = options[options.index("--folder") + 1]
    assert folder.startswith(f"/var/lib/{service['StateDirectory']}/")
    help_text = subprocess.run(
        [sys.executable, EXAMPLES / "watch.py", "--help"],
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    assert all(option in help_text for option in options if option.startswith("--"))


def test_systemd_accepts_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    # Programs that are not installed here would be errors.
    text = UNIT.read_text().replace("/opt/sparsebnn/venv/bin/python", sys.executable)
    (tmp_path / UNIT.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / UNIT.name],
        text=True,
        capture_output=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, said) == (0, [])
