"""Two processes on loopback: the class is right, nothing else gets across, lies end in a line.

They need the extra [oblivious]; SPARSEBNN_OBLIVIOUS=required fails them where it is absent.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.cli import main
from keras_sparsebnn.oblivious import ObliviousError, and_count, evaluate, read_program
from keras_sparsebnn.oblivious.packed import packed
from keras_sparsebnn.runtime import Interpreter

ROOT = Path(__file__).resolve().parents[3]
BATCH = 16


@pytest.fixture(scope="module")
def spu():
    if importlib.util.find_spec("spu") is None:
        if os.environ.get("SPARSEBNN_OBLIVIOUS") == "required":
            pytest.fail("spu is not installed, and SPARSEBNN_OBLIVIOUS=required")
        pytest.skip("needs the extra [oblivious]")


@pytest.fixture(scope="module")
def model(tiny_network, tmp_path_factory):
    path = tmp_path_factory.mktemp("oblivious") / "model.tflite"
    path.write_bytes(tiny_network(1))
    return path


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(3).uniform(-1, 1, (BATCH, 4, 4, 1)).astype(np.float32)


class Server:
    """`sparsebnn oblivious serve --json`, and what it says on either stream."""

    def __init__(self, model, log, *options):
        self.log = log
        command = [sys.executable, "-m", "keras_sparsebnn", "oblivious", "serve", str(model)]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*command, "--listen", "127.0.0.1:0", "--json", *options],
                stdout=file,
                stderr=file,
                cwd=ROOT,
            )
        try:
            listening = self.event(0)
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise
        assert listening["event"] == "listening"
        assert listening["host"] == "127.0.0.1"
        self.port, self.link_port = listening["port"], listening["link_port"]

    def lines(self):
        return self.log.read_text().splitlines()

    def event(self, number, seconds=120):
        """What line `number` says, as soon as it is printed."""
        end = time.monotonic() + seconds
        while not self.log.read_text().count("\n") > number:
            assert self.process.poll() is None, self.lines()
            assert time.monotonic() < end, self.lines()
            time.sleep(0.02)
        return json.loads(self.lines()[number])

    def stop(self):
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()  # nothing lives longer than the test


@pytest.fixture(scope="module")
def server(spu, model, tmp_path_factory):
    server = Server(model, tmp_path_factory.mktemp("server") / "log")
    yield server
    assert server.stop() == 130
    assert server.lines()[-1] == "sparsebnn: interrupted"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Recorded:
    """A session through a relay: the same pictures twice, then its SPU is killed."""

    def __init__(self, server, pictures, folder):
        from keras_sparsebnn.oblivious.client import Client

        before, link_port = len(server.lines()), free_port()
        records = [folder / "to_server", folder / "to_client"]
        arguments = [str(server.port), str(link_port), *map(str, records)]
        relay = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed.relay", *arguments],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self.classes, self.bytes, self.said = [], [], []
        try:
            assert relay.stdout.readline() == b"ready\n"
            address = ("127.0.0.2", server.port)
            with Client(
                address, batch=BATCH, link_port=link_port, say=self.said.append
            ) as client:
                for _ in range(2):
                    self.classes.append(client.classify(pictures))
                    self.bytes.append([record.stat().st_size for record in records])
                process = client.engine.process
                self.command = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
                threading.Timer(0.05, process.kill).start()
                with pytest.raises(ObliviousError) as error:
                    client.classify(pictures)
                self.error = str(error.value)
                client.wire.send_error(error.value)
            self.event = server.event(before)
        finally:
            relay.kill()
            relay.communicate()
        self.to_server, self.to_client = (record.read_bytes() for record in records)
        self.log = server.log.read_bytes()


@pytest.fixture(scope="module")
def session(server, pictures, tmp_path_factory):
    return Recorded(server, pictures, tmp_path_factory.mktemp("relay"))


def test_the_class_is_the_circuits_and_lces(session, model, pictures):
    expected = evaluate(read_program(model), pictures)
    assert len(set(expected)) > 1
    scores = Interpreter(str(model)).predict(pictures)
    np.testing.assert_array_equal(expected, scores.reshape(BATCH, -1).argmax(-1))
    for found in session.classes:
        np.testing.assert_array_equal(found, expected)


def test_the_server_tells_who_came_and_how_many_images_and_no_class(session):
    assert set(session.event) == {"event", "peer", "images", "seconds", "error"}
    assert session.event["images"] == 2 * BATCH
    assert session.event["peer"].startswith("127.0.0.3:")


def test_a_killed_spu_is_one_line_on_both_sides(session, server):
    assert session.error == "SPU's process ended, with SIGKILL."
    assert session.event["error"] in (
        "The client says: SPU's process ended, with SIGKILL.",
        "Lost the client: it closed the connection.",
    )
    assert server.process.poll() is None


def windows(secrets):
    """Every 12 bytes of these at which a leak would be no accident."""
    found = set()
    for secret in secrets:
        data = bytes(secret)
        for start in range(0, len(data) - 11, 4):
            window = data[start : start + 12]
            if len(set(window)) > 5:
                found.add(window)
    return found


def test_no_secret_is_on_the_wire_or_in_the_log(session, model, pictures):
    program = read_program(model)
    bits = program.architecture.bits(pictures)
    client = windows([packed(bits), bits, np.packbits(bits), pictures])
    server = [model.read_bytes()[-2048:]]
    for layer in program.secrets:
        for value in layer.values():
            server += [packed(value), ~packed(value), value, np.packbits(value)]
    assert len(client) > 50
    assert len(windows(server)) > 50
    for window in client | windows(server):
        assert window not in session.to_server
        assert window not in session.to_client
        assert window not in session.log
        assert window not in "\n".join(session.said).encode()
    assert session.command[1:3] == [b"-m", b"keras_sparsebnn.oblivious.spu_party"]
    assert session.command[3].isdigit()


def test_halves_of_the_same_images_are_random_and_new(session, model, pictures):
    """The client's messages are found by their heads: kind 2, as many bytes as words take."""
    words = packed(read_program(model).architecture.bits(pictures))
    head = struct.pack("<IB", words.nbytes, 2)
    starts = [match.end() for match in re.finditer(re.escape(head), session.to_server)]
    halves = [session.to_server[start : start + words.nbytes] for start in starts]
    assert len(halves) in (2, 3)
    assert len(set(halves)) == len(halves)
    for half in halves:
        ones = np.unpackbits(np.frombuffer(half, np.uint8))
        assert abs(ones.mean() - 0.5) < 6 * 0.5 / len(ones) ** 0.5


def test_bytes_follow_the_ands(session, model):
    ands = BATCH * and_count(model)
    for side in (0, 1):
        sent = session.bytes[1][side] - session.bytes[0][side]
        assert 2 < 8 * sent / ands < 6  # small messages: a third is what frames them


def say(connection, value, kind=1):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    connection.sendall(struct.pack("<IB", len(data), kind) + data)


def hear(connection):
    head = connection.recv(5, socket.MSG_WAITALL)
    length, kind = struct.unpack("<IB", head)
    return kind, connection.recv(length, socket.MSG_WAITALL)


def greet(server):
    """A connection on which the server has made its offer."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    say(connection, {"protocol": 2})
    kind, data = hear(connection)
    assert kind == 1
    offer = json.loads(data)
    assert offer["link_port"] == server.link_port
    return connection


LIES = {
    "garbage": (b"GET / HTTP/1.1\r\n\r\n", "at most 1048576 bytes of kind 1"),
    "oversize": (b"\xff\xff\xff\x7f\x01", "at most 1048576 bytes of kind 1"),
    "endless depth": (struct.pack("<IB", 99999, 1) + b"[" * 99999, "Expected JSON"),
    "half a message": (struct.pack("<IB", 100, 1) + b"{", "closed the connection"),
    "other kind": (struct.pack("<IB", 2, 2) + b"{}", "got 2 of kind 2"),
    "silence": (b"", "closed the connection"),
    "an error": (struct.pack("<IB", 9, 3) + b"\x1b[2J\nboo!", "The client says: ?[2J boo!"),
    "protocol": ({"protocol": 1}, "Expected protocol in [2, 2], got 1"),
    "no mapping": ([1], "Expected protocol, got no mapping"),
}
REQUESTS = {
    "digest": ({"digest": "0" * 64}, "digest of our architecture"),
    "batch": ({"batch": 10**9}, "Expected batch in [1, 32]"),
    "no number": ({"batch": True}, "Expected batch in [1, 32]"),
    "link port": ({"link_port": -1}, "Expected link_port in"),
}


@pytest.mark.parametrize("lie", [*LIES, *REQUESTS])
def test_a_client_that_lies_is_one_line(server, model, lie):
    before = len(server.lines())
    if lie in LIES:
        value, message = LIES[lie]
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    else:
        changed, message = REQUESTS[lie]
        connection = greet(server)
        digest = read_program(model).architecture.digest
        value = {"digest": digest, "batch": 1, "link_port": 9, **changed}
    with connection:
        connection.sendall(value) if isinstance(value, bytes) else say(connection, value)
        connection.shutdown(socket.SHUT_WR)
        kind, text = hear(connection)
        assert kind == 3
        assert message in text.decode()
    event = server.event(before)
    assert message in event["error"]
    assert event["images"] == 0
    assert len(server.lines()) == before + 1


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_client_that_dies_leaves_no_process_behind(server, model):
    before = len(server.lines())
    connection = greet(server)
    digest = read_program(model).architecture.digest
    # A batch of which the server has no program yet, so that it has to make one.
    say(connection, {"digest": digest, "batch": 3, "link_port": server.link_port})
    end = time.monotonic() + 20
    while not children(server.process.pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert len(children(server.process.pid)) == 1
    connection.close()
    assert server.event(before)["error"] == "Lost the client: it closed the connection."
    assert children(server.process.pid) == []


def test_spu_dies_with_its_parent(spu, model):
    """Also while native code has Python's lock: after a kill -9 nothing goes on computing."""
    program = (
        "import socket, sys; from keras_sparsebnn.oblivious import read_program\n"
        "from keras_sparsebnn.oblivious.engine import Engine\n"
        "from keras_sparsebnn.oblivious.wire import Wire\n"
        "ours, theirs = socket.socketpair()\n"
        "engine = Engine(read_program(sys.argv[1]).architecture, 1, 0, Wire(ours, 'client'))\n"
        "print(engine.process.pid, flush=True)\n"
        "engine.compile('lba')\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(model)], stdout=subprocess.PIPE, cwd=ROOT
    )
    engine = int(parent.stdout.readline())
    time.sleep(1.5)  # it loads JAX, and compiles
    parent.kill()
    parent.communicate()
    end = time.monotonic() + 10
    while running(engine) and time.monotonic() < end:
        time.sleep(0.05)
    assert not running(engine)


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# What changes an offer; other replies are whole.
OFFERS = ({}, {"accumulator": "x"})


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ([(1, {"architecture": {}})], "Expected link_port in"),
        ([(1, {"link_port": 9, "max_batch": 1})], "Expected an architecture"),
        ([(1, {"accumulator": "x"})], "Expected an accumulator of lba"),
        ([(1, [])], "Expected link_port, max_batch, got no mapping"),
        ([(1, b"\xff")], "Expected JSON"),
        ([(2, b"0" * 100)], "got 100 of kind 2"),
        ([(3, b"no\nmore \x1b[2J")], r"^The server says: no more \?\[2J$"),
        ([], "closed the connection"),
        ([(1, {})], "Expected the architecture ffff"),
    ],
)
def test_a_server_that_lies_is_one_line(spu, model, reply, message):
    from keras_sparsebnn.oblivious.client import Client

    offer = {"link_port": 9, "max_batch": 4, "accumulator": "lba"}
    offer["architecture"] = read_program(model).architecture.to_json()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                hear(connection)
                for kind, value in reply:
                    say(connection, {**offer, **value} if value in OFFERS else value, kind)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ObliviousError, match=message) as error:
            Client(listening.getsockname()[:2], expect="f" * 16)
        thread.join()
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Made by the commands of docs/oblivious.md."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    page = (ROOT / "docs" / "oblivious.md").read_text("utf-8")
    (script,) = re.findall(r"```bash\n(openssl .*?)```", page, re.DOTALL)
    folder = tmp_path_factory.mktemp("tls")
    script = script.replace("10.0.0.5", "127.0.0.1").replace("10.0.0.6", "127.0.0.1")
    subprocess.run(["bash", "-ec", script], cwd=folder, check=True, capture_output=True)
    assert {"ca.pem", "cert.pem", "key.pem"} <= {p.name for p in (folder / "server").iterdir()}
    return folder


def test_the_command_with_tls(spu, model, pictures, certificates, tmp_path, capfd):
    server = Server(model, tmp_path / "log", "--tls", str(certificates / "server"))
    pixels = np.round((pictures[:2] + 1) * 127.5).astype(np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    query = ["oblivious", "query", str(tmp_path / "images.npy")]
    query += ["--connect", f"127.0.0.1:{server.port}"]
    try:
        assert main(query) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert err.splitlines()[-1].startswith("sparsebnn oblivious: error: ")
        assert len(err.splitlines()) == 2
        assert server.event(1)["error"]
        assert main([*query, "--tls", str(certificates / "client"), "--json"]) == 0
        out, err = capfd.readouterr()
        report = json.loads(out)
        images = pixels.astype(np.float32) / 127.5 - 1
        assert report["classes"] == evaluate(read_program(model), images).tolist()
        assert [line.split()[0] for line in err.splitlines()] == [
            *("Connecting", "Making", "Linking", "Computing", "Done")
        ]
        assert (server.event(2)["images"], server.event(2)["error"]) == (2, "")
    finally:
        server.stop()
