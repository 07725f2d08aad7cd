"""The machine and the versions a run was made with."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from typing import Any

from keras_sparsebnn._keras import tf

__all__ = ["machine"]


def machine() -> dict[str, Any]:
    """Versions and devices: `environment` in `metrics.json`."""
    versions = {}
    for name in ("keras-sparsebnn", "tensorflow", "tf-keras", "keras", "larq", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "devices": [device.device_type for device in tf.config.list_logical_devices()],
        "versions": versions,
    }
