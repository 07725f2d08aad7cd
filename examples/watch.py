"""Classifies images as they come, from a folder or a camera: a service for a board.

    pip install 'keras-sparsebnn[device]'
    python watch.py model.tflite --folder incoming/ --labels labels.txt
    python watch.py model.tflite --camera 'rpicam-vid -n -t 0 --codec yuv420 --width 640
        --height 480 -o -' --size 640x480 --every 1

A line of JSON goes to stdout for every image: time, source, class, score, milliseconds. A
folder is looked at every second; what is in it at the start counts, too, and files are left
where they are. Files may be what deploy.py reads. A camera is any command that writes frames to
its stdout: YUV 4:2:0, of which the brightness is used, or RGB with --rgb. Images are cropped to
the model's shape and scaled.

Under systemd (see systemd/sparsebnn-watch.service) it says when it is ready and that it is
alive, and ends on SIGTERM between two images.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from deploy import read_images, to_input

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import Interpreter

MAX_SIDE = 8192
SETTLED = 0.5
"""Seconds since a file was last written, after which it counts as whole."""


def notify(state: str) -> None:
    """Tells systemd, if it started this: sd_notify(3) is one datagram.

    Nobody may be reading, and the kernel holds few datagrams (ten, by default). What finds no
    place in a second is dropped: waiting for one would keep a signal from ending the service.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        place = "\0" + address[1:] if address.startswith("@") else address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.settimeout(1)
            with contextlib.suppress(TimeoutError):
                to.sendto(state.encode(), place)


def fit(image: np.ndarray, height: int, width: int, channels: int) -> np.ndarray:
    """`[H, W, C]`, cropped around its middle, averaged to `[height, width, channels]`.

    Integers stay on their scale of 0 to 255. One channel becomes three alike, three become
    their mean.
    """
    rows, columns = image.shape[:2]
    side = min(rows / height, columns / width)
    keep = [max(1, round(side * height)), max(1, round(side * width))]
    top, left = (rows - keep[0]) // 2, (columns - keep[1]) // 2
    image = image[top : top + keep[0], left : left + keep[1]].astype(np.float32)
    for axis, (size, wanted) in enumerate(zip(keep, (height, width), strict=True)):
        starts = np.arange(wanted) * size // wanted
        ends = np.maximum(np.append(starts[1:], size), starts + 1)
        shape = [1] * image.ndim
        shape[axis] = wanted
        image = np.add.reduceat(image, starts, axis) / (ends - starts).reshape(shape)
    if image.shape[-1] != channels:
        image = image.mean(axis=-1, keepdims=True).repeat(channels, axis=-1)
    return image


class Stop:
    """What SIGTERM and SIGINT set.

    A `threading.Event` would do, but for its lock: a handler runs between two steps of the main
    thread, which may hold that lock just then and would wait for itself.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._awake, self._wake = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, *_: object) -> None:
        if not self._is_set:
            os.write(self._wake, b".")
        self._is_set = True

    def is_set(self) -> bool:
        """Whether a signal came."""
        return self._is_set

    def wait(self, seconds: float) -> None:
        """Sleeps, but no longer than until a signal comes."""
        select.select([self._awake], [], [], seconds)


class Files:
    """New files of a folder, the oldest first; each once unless it changes."""

    def __init__(self, folder: Path, stop: Stop, every: float) -> None:
        self._folder, self._stop, self._every = folder, stop, every
        if not folder.is_dir():
            raise SparseBNNError(f"Expected a folder, got {folder}. Run: mkdir -p {folder}")

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        seen: dict[str, int] = {}
        while not self._stop.is_set():
            found = {}
            for path in self._folder.iterdir():
                with contextlib.suppress(FileNotFoundError):  # it may go away meanwhile
                    status = path.stat()
                    if stat.S_ISREG(status.st_mode) and not path.name.startswith("."):
                        found[path] = status.st_mtime_ns
            seen = {path.name: seen[path.name] for path in found if path.name in seen}
            settled = time.time_ns() - int(SETTLED * 1e9)
            for path, written in sorted(found.items(), key=lambda item: item[1]):
                if seen.get(path.name) == written or written > settled:
                    continue
                seen[path.name] = written
                try:
                    for image in read_images(path):
                        yield path.name, image
                except (SparseBNNError, OSError, ValueError) as error:
                    print(f"watch: {error}", file=sys.stderr, flush=True)
                if self._stop.is_set():
                    return
            notify("WATCHDOG=1")
            self._stop.wait(self._every)


class Camera:
    """The newest frame of a program that writes frames to its stdout, now and then.

    Args:
        command: the program and its arguments; no shell sees them.
        size: width and height of its frames.
        rgb: whether a frame is RGB, 8 bits each, or else YUV 4:2:0.
        stop: ends it.
        every: seconds between two images.
    """

    def __init__(
        self,
        command: list[str],
        size: tuple[int, int],
        rgb: bool,
        stop: Stop,
        every: float,
    ) -> None:
        self._command, self._size, self._rgb = command, size, rgb
        self._stop, self._every = stop, every

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        width, height = self._size
        channels = 3 if self._rgb else 1
        pixels = width * height * channels
        frame = pixels if self._rgb else pixels + 2 * ((width + 1) // 2 * ((height + 1) // 2))
        with subprocess.Popen(self._command, stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            try:
                last = -self._every
                while not self._stop.is_set():
                    # All frames are read, or the camera's would be old ones.
                    data = running.stdout.read(frame)
                    if len(data) < frame:
                        break
                    notify("WATCHDOG=1")
                    if time.monotonic() - last < self._every:
                        continue
                    last = time.monotonic()
                    image = np.frombuffer(data, np.uint8, pixels)
                    yield self._command[0], image.reshape(height, width, channels)
            finally:
                running.terminate()
        if not self._stop.is_set():
            raise SparseBNNError(f"Expected frames, but the camera ended: {self._command[0]}.")


def classified(
    interpreter: Interpreter, image: np.ndarray, labels: list[str] | None
) -> dict[str, Any]:
    """What the model says of an image: its best class, the score, and how long it took."""
    tensor = interpreter.inputs[0]
    _, height, width, channels = tensor.shape
    if image.ndim != 3 or not image.size:
        raise SparseBNNError(f"Expected an image [H, W, C], got {image.shape}.")
    if image.shape[0] > MAX_SIDE or image.shape[1] > MAX_SIDE:
        raise SparseBNNError(f"Expected at most {MAX_SIDE} pixels a side, got {image.shape}.")
    fitted = fit(image, height, width, channels)
    if np.issubdtype(image.dtype, np.integer):
        fitted = fitted / np.float32(127.5) - 1
    start = time.perf_counter()
    scores = np.asarray(interpreter.predict(to_input(fitted[np.newaxis], tensor)))[0]
    milliseconds = 1e3 * (time.perf_counter() - start)
    if not np.isfinite(scores).all():
        raise SparseBNNError("Expected finite scores, got others.")
    best = int(scores.argmax())
    name = labels[best] if labels and best < len(labels) else str(best)
    return {"class": name, "score": round(float(scores[best]), 4), "ms": round(milliseconds, 3)}


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if min(size) < 1:
        raise argparse.ArgumentTypeError(f"Expected WIDTHxHEIGHT, got {text}")
    return size


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"Expected 0 to 86400 seconds, got {text}")
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--folder", type=Path)
    source.add_argument("--camera", metavar="COMMAND")
    parser.add_argument("--size", type=_size, default=(640, 480), help="of frames: 640x480")
    parser.add_argument("--rgb", action="store_true", help="frames are RGB")
    parser.add_argument("--every", type=_seconds, default=1.0, metavar="S", help="default 1 s")
    parser.add_argument("--labels", type=Path, help="names of the classes, one a line")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    stop = Stop()
    try:
        labels = args.labels.read_text("utf-8").splitlines() if args.labels else None
        interpreter = Interpreter(args.model, num_threads=args.threads)
        ends = [len(shape) for shape in interpreter.input_shapes + interpreter.output_shapes]
        if ends != [4, 2]:
            raise SparseBNNError(
                "Expected a model from images [N, H, W, C] to scores [N, classes], got "
                f"{interpreter.input_shapes} to {interpreter.output_shapes}."
            )
        images: Files | Camera
        if args.folder:
            images = Files(args.folder, stop, args.every)
        else:
            command = shlex.split(args.camera)
            if not command:
                raise SparseBNNError("Expected a camera's command, got none.")
            images = Camera(command, args.size, args.rgb, stop, args.every)
        print(f"{args.model} in {interpreter.runtime}", file=sys.stderr, flush=True)
        notify("READY=1")
        for name, image in images:
            notify("WATCHDOG=1")
            try:
                said = classified(interpreter, image, labels)
            except (SparseBNNError, ValueError) as error:  # this image is wrong, not the next
                print(f"watch: {error} ({name})", file=sys.stderr, flush=True)
                continue
            now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            print(json.dumps({"time": now, "source": name, **said}), flush=True)
            notify("WATCHDOG=1")
        notify("STOPPING=1")
    except (SparseBNNError, OSError, ValueError) as error:
        print(f"watch: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
