"""A small Ray cluster on this machine, for what runs on one."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}


@pytest.fixture(scope="module")
def ray():
    """Ray; its absence fails the test where SPARSEBNN_CLUSTER is "required"."""
    if os.environ.get("SPARSEBNN_CLUSTER") == "required":
        import ray
    else:
        ray = pytest.importorskip("ray", reason="needs the [cluster] extra")
    return ray


def added(cluster, **options):
    """A machine more. Its agents get ports: Ray waits 15 s for those that choose their own."""
    agents = ("metrics_agent", "metrics_export", "dashboard_agent_listen", "runtime_env_agent")
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in agents]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in sockets]
    named = {f"{agent}_port": port for agent, port in zip(agents, ports, strict=True)}
    return cluster.add_node(**NODE, **named, **options)


@pytest.fixture
def cluster(ray):
    """A cluster of one machine with one CPU."""
    from ray.cluster_utils import Cluster

    made = Cluster()
    added(made, include_dashboard=False)
    ray.init(made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()
