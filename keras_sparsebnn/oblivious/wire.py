"""Our own messages: a length, a kind, and JSON or bytes. Nothing of it is ever executed.

    u32 length (little endian) | u8 kind | length bytes

kind 1 is JSON, 2 bytes, 3 an error's text. Whoever reads says how long a message may be and how
many seconds it may take in all; a longer one is refused before it is read.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import select
import socket
import ssl
import struct
import time
from pathlib import Path
from typing import Any

from keras_sparsebnn import errors
from keras_sparsebnn.errors import printable
from keras_sparsebnn.oblivious.architecture import ObliviousError

__all__ = [
    "Address",
    "LostError",
    "Wire",
    "address",
    "integers",
    "is_loopback",
    "one_line",
    "tls_context",
]

_HEAD = struct.Struct("<IB")
_JSON, _BYTES, _ERROR = 1, 2, 3

MAX_JSON = 1 << 20
MAX_ERROR = 500
SECONDS = 30.0
"""For a message that the other side has only to send."""

Address = tuple[str, int]

Json = Any
"""What `json.loads` may give; nothing of it is believed before it is checked."""


class LostError(ObliviousError):
    """The other side has gone, or is too slow."""


def address(text: str) -> Address:
    """`HOST:PORT`.

    Raises:
        ObliviousError: it is something else.

    Example:
        >>> address("127.0.0.1:7100")
        ('127.0.0.1', 7100)
    """
    host, colon, port = text.rpartition(":")
    fits = colon and host and port.isascii() and port.isdigit() and len(port) <= 5
    if not fits or int(port) > 65534 or ":" in host:
        raise ObliviousError(f"Expected HOST:PORT with a port up to 65534, got {text[:100]!r}.")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it.

    Raises:
        OSError: there is no such host.
    """
    return ipaddress.ip_address(socket.gethostbyname(host)).is_loopback


def one_line(error: BaseException | str) -> str:
    """An error that may come from native code or from a peer, in one short printable line.

    Example:
        >>> one_line("no  \\n more \\x1b[2J")
        'no more ?[2J'
    """
    text = printable(errors.one_line(error)[:MAX_ERROR])
    return text if len(text) < MAX_ERROR else f"{text[: MAX_ERROR - 3]}..."


def integers(message: object, **ranges: tuple[int, int]) -> dict[str, int]:
    """The named integers of a message that may be anything.

    Raises:
        ObliviousError: one is missing, no integer, or out of its range.

    Example:
        >>> integers({"batch": 4, "more": 1}, batch=(1, 32))
        {'batch': 4}
    """
    if not isinstance(message, dict):
        raise ObliviousError(f"Expected {', '.join(ranges)}, got no mapping.")
    for name, (low, high) in ranges.items():
        value = message.get(name)
        if type(value) is not int or not low <= value <= high:
            raise ObliviousError(
                f"Expected {name} in [{low}, {high}], got {one_line(repr(value)[:40])}."
            )
    return {name: message[name] for name in ranges}


def tls_context(folder: str, *, server: bool) -> ssl.SSLContext:
    """TLS 1.3 in which both sides show a certificate that `ca.pem` has signed.

    Args:
        folder: has `ca.pem`, `cert.pem` and `key.pem`.
        server: which side this is.

    Raises:
        ObliviousError: a file is missing or is not valid.
    """
    path = Path(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(path / "cert.pem", path / "key.pem", password="")
        context.load_verify_locations(path / "ca.pem")
    except (OSError, ssl.SSLError) as error:
        raise ObliviousError(
            f"Expected ca.pem, cert.pem and an open key.pem in {folder}, got: "
            f"{one_line(error)}."
        ) from error
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class Wire:
    """One side of a connection, on which messages are sent and received.

    Args:
        connection: a connected socket.
        peer: how errors call the other side.
        trusted: whether an error from there is told as our own.
        until: when, on the monotonic clock, to stop waiting for anything.
    """

    def __init__(
        self,
        connection: socket.socket,
        peer: str,
        *,
        trusted: bool = False,
        until: float = float("inf"),
    ) -> None:
        self.connection, self.peer, self.trusted, self.until = connection, peer, trusted, until

    def send_json(self, value: object) -> None:
        """Sends what JSON can hold."""
        self._send(_JSON, json.dumps(value).encode())

    def send_bytes(self, data: bytes) -> None:
        """Sends bytes."""
        self._send(_BYTES, data)

    def send_error(self, error: BaseException) -> None:
        """Tells the other side, if it still listens."""
        with contextlib.suppress(ObliviousError):
            text = one_line(error).encode()[:MAX_ERROR]
            self._send(_ERROR, text, time.monotonic() + 1)

    def end(self) -> None:
        """Says that nothing more will come, and for a second drops what the other side sends.

        A connection that is closed with something unread takes an error back that was sent.
        """
        end = time.monotonic() + 1
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while (left := end - time.monotonic()) > 0:
                self.connection.settimeout(left)
                if not self.connection.recv(1 << 16):
                    return

    def receive_json(self, seconds: float = SECONDS) -> Json:
        """The next message, which has to be JSON.

        Raises:
            LostError: nothing came, or not all of it in time.
            ObliviousError: the other side reports an error, or sends something else.
        """
        data = self._receive(_JSON, MAX_JSON, seconds)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ObliviousError(
                f"Expected JSON from the {self.peer}, got something else."
            ) from error

    def receive_bytes(self, size: int, seconds: float = SECONDS) -> bytes:
        """The next message, which has to be of `size` bytes.

        Raises:
            LostError: as `receive_json`.
            ObliviousError: as `receive_json`.
        """
        data = self._receive(_BYTES, size, seconds)
        if len(data) != size:
            raise ObliviousError(
                f"Expected {size} bytes from the {self.peer}, got {len(data)}."
            )
        return data

    def hung_up(self) -> bool:
        """Whether the other side sends nothing more."""
        poll = select.poll()
        poll.register(self.connection, select.POLLHUP | getattr(select, "POLLRDHUP", 0))
        return bool(poll.poll(0))

    def _send(self, kind: int, data: bytes, end: float | None = None) -> None:
        end = min(time.monotonic() + SECONDS, self.until) if end is None else end
        left = memoryview(_HEAD.pack(len(data), kind) + data)
        try:
            # Not `sendall`, which over TLS gives each piece of the message as long.
            while left:
                self._wait_until(end)
                left = left[self.connection.send(left) :]
        except OSError as error:
            raise self._lost(error) from error

    def _receive(self, kind: int, longest: int, seconds: float) -> bytes:
        end = min(time.monotonic() + seconds, self.until)
        try:
            length, found = _HEAD.unpack(self._exactly(_HEAD.size, end))
            if found == _ERROR and length <= MAX_ERROR:
                text = one_line(self._exactly(length, end).decode("utf-8", "replace"))
                raise ObliviousError(text if self.trusted else f"The {self.peer} says: {text}")
            if found != kind or length > longest:
                raise ObliviousError(
                    f"Expected at most {longest} bytes of kind {kind} from the {self.peer}, "
                    f"got {length} of kind {found}."
                )
            return self._exactly(length, end)
        except OSError as error:
            raise self._lost(error) from error

    def _wait_until(self, end: float) -> None:
        """For what the connection does next."""
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long")
        self.connection.settimeout(min(left, 3600.0))

    def _exactly(self, count: int, end: float) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            self._wait_until(end)
            part = self.connection.recv(min(count - len(parts), 1 << 20))
            if not part:
                raise ConnectionError("it closed the connection")
            parts += part
        return bytes(parts)

    def _lost(self, error: OSError) -> LostError:
        why = "it took too long" if isinstance(error, TimeoutError) else one_line(error)
        return LostError(f"Lost the {self.peer}: {why}.")
