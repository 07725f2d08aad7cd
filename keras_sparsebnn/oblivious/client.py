"""The side that has the image, and learns its class. What it says to whom, `server` has."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS
from keras_sparsebnn.oblivious.architecture import Architecture, ObliviousError
from keras_sparsebnn.oblivious.engine import Engine, require_spu
from keras_sparsebnn.oblivious.packed import packed
from keras_sparsebnn.oblivious.server import MAX_BATCH, PROTOCOL, check_batch
from keras_sparsebnn.oblivious.spu_party import CLIENT, SERVER, share_sizes, split
from keras_sparsebnn.oblivious.wire import (
    SECONDS,
    Address,
    Wire,
    integers,
    one_line,
    tls_context,
)

__all__ = ["Client"]

_DIGEST = re.compile(r"[0-9a-f]{16,64}")


class Client:
    """A session with a server. Use it as a context manager.

    Args:
        server: where it listens.
        batch: images that are classified at once, if the server allows as many; fewer are
            filled up.
        link_port: where SPU listens on this side; any free port if 0.
        tls: a folder with `ca.pem`, `cert.pem` and `key.pem`; see docs/oblivious.md.
        open_network: allow other addresses than loopback without `tls`.
        expect: the beginning of the architecture's digest, 16 digits or more; None takes any.
        image_shape: H, W, C of the images to come; None takes what the server has.
        turn_seconds: how long to wait while the server answers others.
        say: gets a line for each step that takes time.

    Attributes:
        architecture: what the server has, in so far as it is public.
        batch: images that are classified at once.

    Raises:
        ObliviousError: no spu, no server, or one that lies.

    Example:
        with Client(("127.0.0.1", 7100)) as client:
            classes = client.classify(images)
    """

    def __init__(
        self,
        server: Address,
        *,
        batch: int = 1,
        link_port: int = 0,
        tls: str | None = None,
        open_network: bool = False,
        expect: str | None = None,
        image_shape: tuple[int, ...] | None = None,
        turn_seconds: float = 600.0,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        require_spu()
        if not 1 <= batch <= MAX_BATCH:
            raise ObliviousError(f"Expected a batch in [1, {MAX_BATCH}], got {batch}.")
        if expect is not None and not _DIGEST.fullmatch(expect):
            raise ObliviousError(
                f"Expected 16 to 64 hex digits of an architecture, got {expect[:64]!r}."
            )
        host = _resolved(server)
        if not (tls or open_network or ipaddress.ip_address(host).is_loopback):
            raise ObliviousError(
                f"Expected --tls FOLDER for a server on another machine, got {server[0]}. "
                "Use an SSH tunnel, or --no-tls if the network itself is private."
            )
        self.say = say
        say(f"Connecting to {server[0]}:{server[1]}, and waiting for our turn ...")
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(_connected(server, host, tls, turn_seconds))
            self.wire = Wire(connection, "server")
            accumulator, port, batch = self._agree(batch, expect, image_shape, turn_seconds)
            self.batch = batch
            hosts = connection.getpeername()[0], connection.getsockname()[0]
            link_port = link_port or _free_port(hosts[1])
            self.wire.send_json(
                {"digest": self.architecture.digest, "batch": batch, "link_port": link_port}
            )
            self.engine = stack.enter_context(
                Engine(self.architecture, batch, CLIENT, self.wire)
            )
            say(f"Making the circuit, for {batch} images at once ...")
            self.engine.compile(accumulator)
            integers(self.wire.receive_json(600), ready=(1, 1))
            self.wire.send_json({"ready": 1})
            say("Linking with the server ...")
            self.engine.connect(((hosts[0], port), (hosts[1], link_port)), tls)
            sizes = share_sizes(self.architecture, batch, SERVER)
            self.engine.give(
                {name: self.wire.receive_bytes(size) for name, size in sizes.items()}
            )
            self._open = stack.pop_all()

    def _agree(
        self,
        batch: int,
        expect: str | None,
        image_shape: tuple[int, ...] | None,
        turn_seconds: float,
    ) -> tuple[str, int, int]:
        """Accumulator, the server's port of SPU, and the batch."""
        self.wire.send_json({"protocol": PROTOCOL})
        offer: Any = self.wire.receive_json(turn_seconds)
        port, most = integers(offer, link_port=(1, 65535), max_batch=(1, MAX_BATCH)).values()
        self.architecture = Architecture.from_json(offer.get("architecture"))
        accumulator = offer.get("accumulator")
        if not isinstance(accumulator, str) or accumulator not in ACCUMULATORS:
            raise ObliviousError(f"Expected an accumulator of {', '.join(ACCUMULATORS)}.")
        digest = self.architecture.digest
        if expect is not None and not digest.startswith(expect):
            raise ObliviousError(f"Expected the architecture {expect[:64]}, got {digest[:16]}.")
        if image_shape not in (None, self.architecture.input):
            raise ObliviousError(
                f"Expected a network for images of {list(image_shape or ())}, got one for "
                f"{list(self.architecture.input)}."
            )
        batch = min(batch, most)
        check_batch(self.architecture, batch)
        return accumulator, port, batch

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def classify(self, images: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The class of each image, which nobody else learns.

        Args:
            images: float, as the network takes them.

        Shape:
            `[B, H, W, C]` -> `[B]`.

        Raises:
            ObliviousError: images that do not fit, or a server that lied or was lost.
        """
        bits = self.architecture.bits(images)
        parts = []
        for start in range(0, len(bits), self.batch):
            some = bits[start : start + self.batch]
            self.say(f"Computing with the server: {start + len(some)} of {len(bits)} ...")
            parts.append(self._classify(some))
        return np.concatenate(parts)

    def _classify(self, bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        start, count = time.monotonic(), len(bits)
        full = np.zeros((self.batch, *bits.shape[1:]), np.bool_)
        full[:count] = bits
        half, kept = split(packed(full))
        self.wire.send_json({"images": count})
        self.wire.send_bytes(half)
        mine = self.engine.run(kept.tobytes())
        other = self.wire.receive_bytes(len(mine))
        classes = (np.frombuffer(mine, np.uint64) ^ np.frombuffer(other, np.uint64))[:count]
        if np.any(classes >= self.architecture.classes):
            raise ObliviousError(
                f"Expected classes below {self.architecture.classes}, got {classes.max()}: the "
                "server computed something else."
            )
        self.say(f"Done in {time.monotonic() - start:.2f} s.")
        return classes.astype(np.int64)


def _resolved(server: Address) -> str:
    """The server's IP address: looked up once, so that what was checked is what we reach."""
    try:
        return socket.gethostbyname(server[0])
    except (OSError, UnicodeError) as error:
        raise ObliviousError(
            f"Expected a server at {server[0]}:{server[1]}, got: {one_line(error)}."
        ) from error


@contextlib.contextmanager
def _connected(
    server: Address, host: str, folder: str | None, turn_seconds: float
) -> Iterator[socket.socket]:
    """A connection; closed at the end."""
    context = None if folder is None else tls_context(folder, server=False)
    try:
        connection = socket.create_connection((host, server[1]), timeout=SECONDS)
        if context is not None:
            connection.settimeout(turn_seconds)
            connection = context.wrap_socket(connection, server_hostname=server[0])
    except OSError as error:
        raise ObliviousError(
            f"Expected a server at {server[0]}:{server[1]}, got: {one_line(error)}."
        ) from error
    with connection:
        yield connection


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])
