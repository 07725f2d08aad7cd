"""Android: the app's instrumentation measures, with the libraries and priority of an app.

The models go to a folder for such files, /data/local/tmp, which the app may read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from keras_sparsebnn._files import sha256
from keras_sparsebnn.devices.adb import AdbShell
from keras_sparsebnn.devices.device import Device, Progress, Settings
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["FOLDER", "AndroidDevice"]

PACKAGE = "io.github.keras_sparsebnn.demo"
RUNNER = f"{PACKAGE}/.benchmark.BenchmarkInstrumentation"
FOLDER = "/data/local/tmp/sparsebnn-benchmark"
ABIS = ("arm64-v8a", "x86_64")
MIN_SDK = 26

_LINE = re.compile(
    r"INSTRUMENTATION_(STATUS|RESULT|FAILED|ABORTED)(?:: ?([^=]{1,100}))?(?:=(.*))?"
)


class AndroidDevice(Device):
    """A phone or tablet with the app of android_demo.

    Args:
        shell: of the device.
        apk: the app's file, to be installed if the device has none or another; None to use
            what is there.
        keep: leave the models on the device for the next time.
    """

    shell: AdbShell

    def __init__(self, shell: AdbShell, *, apk: Path | None = None, keep: bool = False) -> None:
        super().__init__(shell)
        self._apk, self._keep = apk, keep
        self._models: dict[Path, str] = {}

    def prepare(self, models: Sequence[Path]) -> None:
        self._check_system()
        self._check_app()
        script = 'mkdir -p "$1" && chmod 755 "$1" && ls -1 "$1"'
        listed = self.shell.run(["sh", "-c", script, "sh", FOLDER])
        there = set(self.shell.check(listed, "make a folder").splitlines()[:10_000])
        for model in models:
            name = f"{sha256(model)[:16]}.tflite"
            if name not in there:
                self.shell.push(model, f"{FOLDER}/{name}")
                there.add(name)
            self._models[model] = f"{FOLDER}/{name}"

    def run(self, model: Path, settings: Settings, progress: Progress) -> object:
        pinned = not (settings.glue and settings.stem)
        if settings.runtime not in ("compare", "auto", "delegate") or pinned:
            raise SparseBNNError(
                "Expected --runtime compare, auto or delegate, no --no-glue and no --no-stem "
                f"for Android, where the app runs TFLite with the delegate ({self.spec})."
            )
        command = ["am", "instrument", "-w", "-r"]
        for name, value in (
            ("model", self._models[model]),
            ("threads", settings.num_threads),
            ("warmup", settings.warmup),
            ("runs", settings.runs),
        ):
            command += ["-e", name, str(value)]
        results: dict[str, str] = {}
        status: dict[str, int] = {}
        for line in self.shell.stream([*command, RUNNER]):
            found = _LINE.match(line)
            if found is None:
                continue
            kind, key, value = found[1], found[2] or "", found[3] or ""
            if kind in ("FAILED", "ABORTED"):
                raise SparseBNNError(
                    f"Expected the app's instrumentation to run, got: {key or value} "
                    f"({self.spec}). Install this version's app: --apk"
                )
            if kind == "RESULT":
                results[key] = value
            elif key in ("done", "total") and re.fullmatch(r"\d{1,9}", value):
                status[key] = int(value)
                if key == "total" and "done" in status:
                    progress(status["done"], status["total"])
        return self._report(results)

    def _report(self, results: dict[str, str]) -> object:
        if "error" in results or "shortMsg" in results:
            reason = results.get("error") or f"the app says: {results['shortMsg']}"
            raise SparseBNNError(f"{reason[:300]} ({self.spec})")
        try:
            return json.loads(results.get("report", ""))
        except (ValueError, RecursionError) as error:
            raise SparseBNNError(
                f"Expected a report from the app, got none ({self.spec}). Was it killed?"
            ) from error

    def clean(self) -> None:
        if not self._keep:
            self.shell.check(self.shell.run(["rm", "-rf", FOLDER]), f"remove {FOLDER}")

    def _check_system(self) -> None:
        found = self.facts()
        abi, sdk = found.get("abi"), found.get("android_sdk")
        if abi not in ABIS:
            raise SparseBNNError(
                f"Expected a device of {' or '.join(ABIS)}, found the wrong ABI: {abi} "
                f"({self.spec}). The app has no library for it."
            )
        if sdk is not None and sdk < MIN_SDK:
            raise SparseBNNError(
                f"Expected Android 8 (API {MIN_SDK}) or newer, found API {sdk} ({self.spec})."
            )

    def _check_app(self) -> None:
        """Makes sure that the app is there; with an APK, that it is this one."""
        listed = self.shell.run(["pm", "path", PACKAGE]).out.partition("\n")[0]
        there = listed.removeprefix("package:").strip()
        if self._apk is None:
            if not there:
                raise SparseBNNError(
                    f"Expected the app {PACKAGE}, found none ({self.spec}). Run: make apk; "
                    "then: --apk dist/sparsebnn-demo-debug.apk"
                )
            return
        if there:
            checksum = self.shell.run(["sha256sum", there]).out.split(maxsplit=1)[:1]
            if checksum == [sha256(self._apk)]:
                return
        self.shell.install(self._apk)
