"""A backend that every forked child makes anew; tests/parity/test_fork.py runs real ones."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from keras_sparsebnn.runtime.backend import Backend, TensorInfo
from keras_sparsebnn.runtime.per_process import PerProcessBackend


class Recorder(Backend):
    """Knows the process that it was made in."""

    inputs = outputs = (TensorInfo("x", (1,), np.dtype("int64"), None, None),)

    def __init__(self):
        self.process = os.getpid()

    def invoke(self, inputs):
        return [np.array([self.process])]

    def profile_json(self):
        return str(self.process)


def in_child(run) -> int:
    """The exit status of a forked child."""
    child = os.fork()
    if child == 0:
        os._exit(run())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def made():
    return []


@pytest.fixture
def backend(made):
    def make():
        made.append(Recorder())
        return made[-1]

    return PerProcessBackend(make)


def process_of(backend) -> int:
    return int(backend.invoke([])[0][0])


def test_made_at_once_and_only_once(backend, made):
    assert backend.inputs == Recorder.inputs
    assert process_of(backend) == process_of(backend) == os.getpid()
    assert len(made) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
class TestAfterAFork:
    def test_a_child_has_its_own(self, backend, made):
        def run():
            good = process_of(backend) == os.getpid() == int(backend.profile_json())
            return 0 if good and len(made) == 2 else 1

        assert in_child(run) == 0
        assert process_of(backend) == os.getpid()
        assert len(made) == 1

    def test_only_if_it_runs(self, backend, made):
        assert in_child(lambda: len(made)) == 1

    def test_the_parent_s_is_never_destroyed(self, backend, made):
        def run():
            references = sys.getrefcount(made[0])
            process_of(backend)
            return references

        # The backend's own reference has become one that nobody gives back.
        references = sys.getrefcount(made[0])
        assert in_child(run) == references

    def test_a_grandchild_too(self, backend):
        def run():
            process_of(backend)
            return in_child(lambda: 0 if process_of(backend) == os.getpid() else 1)

        assert in_child(run) == 0
