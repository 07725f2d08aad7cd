"""The device's side of adb on loopback: shell and file transfer on a folder of this machine.

Of the protocol (adb's own protocol.txt, SERVICES.TXT, SYNC.TXT) what the client needs for
`connect`, `shell`, `push` and `install`: messages of 24 bytes and their data, streams that wait
for an OKAY after each WRTE, and the services "shell,v2" and "sync". There is no cryptography;
a device that asks for a signature never accepts one.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import struct
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

MAX_DATA = 256 * 1024
VERSION = 0x01000001  # from here on nobody checks sums
BANNER = b"device::ro.product.name=loopback;ro.product.model=Loopback;features=shell_v2"
AUTH_TOKEN = 1


def number(name: bytes) -> int:
    return int.from_bytes(name, "little")


class AdbDevice:
    """Listens until `close`.

    Args:
        root: has the device's /data; its bin/ comes first on the PATH.
        environment: of its programs.
        mode: "device", "unauthorized" (asks for a key that it knows and never gets it) or
            "silent" (accepts a connection, and says nothing).
    """

    def __init__(
        self, root: Path, environment: Mapping[str, str] | None = None, mode: str = "device"
    ) -> None:
        self.root, self.mode = root, mode
        path = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", "")])
        self.environment = {**os.environ, "PATH": path, **(environment or {})}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=Link(self, connection).serve, daemon=True).start()

    def close(self) -> None:
        """Unplugs it."""
        for each in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def here(self, path: str) -> str:
        """A path of the device, or a command with such, on this machine."""
        return path.replace("/data/", f"{self.root}/data/")


class Link:
    """One connection of an adb server."""

    def __init__(self, device: AdbDevice, connection: socket.socket) -> None:
        self.device, self._connection = device, connection
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        code = number(command)
        head = struct.pack("<6I", code, first, second, len(data), 0, code ^ 0xFFFFFFFF)
        with self._lock:
            self._connection.sendall(head + data)

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._connection.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def serve(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                head = self._receive(24)
                first, second, size = struct.unpack("<3I", head[4:16])
                self._handle(head[:4], first, second, self._receive(size))
        for stream in self._streams.values():
            stream.end()

    def _handle(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if command in (b"CNXN", b"AUTH"):
            if self.device.mode == "device":
                self.send(b"CNXN", VERSION, MAX_DATA, BANNER)
            elif self.device.mode == "unauthorized" and first != 3:  # 3: here is my key
                self.send(b"AUTH", AUTH_TOKEN, 0, bytes(20))
        elif command == b"OPEN":
            stream = Stream(self, len(self._streams) + 1, first)
            self._streams[stream.ours] = stream
            self.send(b"OKAY", stream.ours, first)
            service = data.rstrip(b"\0").decode()
            threading.Thread(target=stream.run, args=(service,), daemon=True).start()
        elif (stream := self._streams.get(second)) is not None:
            if command == b"WRTE":
                stream.incoming.put(data)
                self.send(b"OKAY", second, first)
            elif command == b"OKAY":
                stream.acknowledged.release()
            elif command == b"CLSE":
                stream.end()


class Stream:
    """One service that the client opened."""

    def __init__(self, link: Link, ours: int, theirs: int) -> None:
        self.link, self.ours, self.theirs = link, ours, theirs
        self.incoming: queue.Queue[bytes] = queue.Queue()
        self.acknowledged = threading.Semaphore(0)
        self._pending = b""
        self._process: subprocess.Popen[bytes] | None = None

    def end(self) -> None:
        """The client has hung up."""
        self.incoming.put(b"")
        self.acknowledged.release()
        if self._process is not None:
            self._process.kill()

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), MAX_DATA):
            part = data[start : start + MAX_DATA]
            self.link.send(b"WRTE", self.ours, self.theirs, part)
            self.acknowledged.acquire()

    def read(self, size: int) -> bytes:
        while len(self._pending) < size:
            part = self.incoming.get()
            if not part:
                raise EOFError
            self._pending += part
        data, self._pending = self._pending[:size], self._pending[size:]
        return data

    def run(self, service: str) -> None:
        with contextlib.suppress(EOFError, OSError):
            kind, _, argument = service.partition(":")
            if kind.startswith("shell,v2"):
                self._shell(argument)
            elif kind == "sync":
                self._sync()
            self.link.send(b"CLSE", self.ours, self.theirs)

    def _shell(self, command: str) -> None:
        """Packets of a kind (1 stdout, 2 stderr, 3 exit status), a length and data."""
        device = self.link.device
        lock = threading.Lock()
        self._process = process = subprocess.Popen(
            ["sh", "-c", device.here(command)],
            env=device.environment,
            cwd=device.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

        def forward(kind: int, file: int) -> None:
            while data := os.read(file, 65536):
                with lock:
                    self.write(struct.pack("<BI", kind, len(data)) + data)

        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            files = {1: process.stdout, 2: process.stderr}
            threads = [
                threading.Thread(target=forward, args=(kind, file.fileno()))
                for kind, file in files.items()
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.write(struct.pack("<BIB", 3, 1, process.returncode & 0xFF))

    def _sync(self) -> None:
        """Requests of a name and a length, and as many bytes."""
        while True:
            name, size = struct.unpack("<4sI", self.read(8))
            if name == b"QUIT":
                return
            text = self.read(size).decode()
            if name == b"STAT":
                self._stat(self.link.device.here(text))
            elif name == b"SEND":
                path, _, mode = text.rpartition(",")
                self._receive_file(self.link.device.here(path), int(mode) & 0o777)

    def _stat(self, path: str) -> None:
        try:
            found = os.stat(path)  # noqa: PTH116
            fields = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))
        except OSError:
            fields = (0, 0, 0)
        self.write(b"STAT" + struct.pack("<3I", *fields))

    def _receive_file(self, path: str, mode: int) -> None:
        problem = b""
        try:
            file = open(path, "wb", buffering=0)  # noqa: PTH123, SIM115
        except OSError as error:
            file, problem = open(os.devnull, "wb"), str(error.strerror).encode()  # noqa: PTH123, SIM115
        with file:
            while (head := self.read(8))[:4] == b"DATA":
                data = self.read(int.from_bytes(head[4:], "little"))
                try:
                    file.write(data)
                except OSError as error:
                    problem = str(error.strerror).encode()
        if not problem:
            os.chmod(path, mode)  # noqa: PTH101
        answer = b"FAIL" if problem else b"OKAY"
        self.write(answer + struct.pack("<I", len(problem)) + problem)
