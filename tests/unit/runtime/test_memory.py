"""Peak memory of this process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.runtime.memory import peak_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_peak_memory_starts_anew_in_the_child_of_a_large_process():
    code = "from keras_sparsebnn.runtime.memory import peak_bytes; print(peak_bytes())"
    ballast = np.ones(300 << 20, np.uint8)
    assert peak_bytes() > ballast.nbytes
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    # Python and NumPy take some 30 MB.
    assert 1 << 20 < int(child.stdout) < ballast.nbytes / 3


def test_peak_memory_where_there_is_no_proc(monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    assert peak_bytes() is None
