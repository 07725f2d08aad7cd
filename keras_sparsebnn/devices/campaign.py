"""Measures models on several devices at once; each device takes one model after another.

A model that is in the results already is not measured again. Before each model the device may
cool down: a warm processor is a slower one, and the second model must not pay for the first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import sha256
from keras_sparsebnn.devices.device import Device, Settings
from keras_sparsebnn.devices.facts import temperature
from keras_sparsebnn.devices.results import Results
from keras_sparsebnn.errors import SparseBNNError, one_line

__all__ = ["measure_devices"]

WARMER = 2.0
"""Degrees Celsius above the start at which a device counts as cool again."""

POLL = 2.0
"""Seconds between two looks at the thermometer."""

BLIND_PAUSE = 10.0
"""Seconds to pause where there is no thermometer; not more than the longest pause."""

Tell = Callable[[str, str], None]
"""Called with a device and what it does now, from any thread."""


def measure_devices(
    devices: Sequence[Device],
    models: Sequence[Path],
    settings: Settings,
    results: Results,
    *,
    cooldown: float = 0.0,
    tell: Tell = lambda device, doing: None,
) -> dict[str, str]:
    """Measures what is missing in `results`.

    Args:
        devices: to measure on, at the same time.
        models: files, measured in this order.
        settings: how.
        results: gets every measurement as soon as it is made.
        cooldown: seconds that a device may take before each model but the first to get as
            cool as it was.
        tell: hears how far each device is.

    Returns:
        By device that failed, why, in one line. The others go on.

    Raises:
        KeyboardInterrupt: after all devices have been stopped and cleaned.
    """
    digests = {model: sha256(model) for model in models}
    failures: dict[str, str] = {}
    stop = threading.Event()

    def work(device: Device) -> None:
        missing = [m for m in models if not results.has(device.spec, digests[m])]
        if not missing:
            return
        brought = False
        try:
            known = device.facts()
            tell(device.spec, "prepares")
            brought = True
            device.prepare(missing)
            _measure(device, known, missing, digests, settings, results, cooldown, tell, stop)
        except (SparseBNNError, OSError) as error:
            failures[device.spec] = one_line(error)
        except Exception as error:  # a thread must not end without a word
            failures[device.spec] = f"{type(error).__name__}: {error} ({device.spec})"
        try:
            if brought:
                device.clean()
        except (SparseBNNError, OSError) as error:  # what went wrong before counts more
            failures.setdefault(device.spec, str(error))

    # Not `Thread.join`: before Python 3.13, a Ctrl-C in it has it take the thread for ended.
    ended = {device.spec: threading.Event() for device in devices}

    def work_to_the_end(device: Device) -> None:
        try:
            work(device)
        finally:
            ended[device.spec].set()

    started = []
    try:
        for device in devices:
            threading.Thread(target=work_to_the_end, args=(device,)).start()
            started.append(device)
        for event in ended.values():
            while not event.wait(0.2):  # a wait without end would not hear Ctrl-C
                pass
    except BaseException:
        stop.set()
        for device in started:
            device.stop()
        for device in started:
            ended[device.spec].wait()
        raise
    return failures


def _measure(
    device: Device,
    known: dict[str, Any],
    models: Sequence[Path],
    digests: dict[Path, str],
    settings: Settings,
    results: Results,
    cooldown: float,
    tell: Tell,
    stop: threading.Event,
) -> None:
    start = now = temperature(known)
    for index, model in enumerate(models):
        if index and cooldown:
            tell(device.spec, "cools down")
            now = _cooled(device, start, cooldown, stop)
        if stop.is_set():
            return
        report = device.measure(
            model,
            settings,
            lambda done, total, m=model: tell(  # type: ignore[misc]
                device.spec, f"{m.name} {done}/{total}"
            ),
        )
        before, now = now, temperature(device.facts())
        entry: dict[str, Any] = {"file_bytes": model.stat().st_size, **report}
        entry["temperature_c"] = [before, now]
        results.add(device.spec, known, digests[model], entry)
    tell(device.spec, "done")


def _cooled(
    device: Device, start: float | None, longest: float, stop: threading.Event
) -> float | None:
    """Waits until the device is about as cool as at the start; how warm it is then."""
    if start is None:
        stop.wait(min(BLIND_PAUSE, longest))
        return None
    end = time.monotonic() + longest
    now = temperature(device.facts())
    while now is not None and now > start + WARMER and time.monotonic() < end:
        if stop.wait(min(POLL, longest)):
            break
        now = temperature(device.facts())
    return now
