"""The reverse proxy of deploy/, run for real: what it answers itself, and what the server behind it sees."""

import datetime
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TEMPLATE = Path(__file__).parents[2] / "deploy" / "nginx" / "ecm-exchange.conf.template"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
BODY_TIMEOUT = 2

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed; on Debian: apt-get install nginx-light"),
]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return json.loads(self.body)["issue"][0]["code"]


class Echo(BaseHTTPRequestHandler):
    """A server that answers with what reached it, and counts."""

    protocol_version = "HTTP/1.1"
    seen = 0

    def answer(self) -> None:
        type(self).seen += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = int(self.headers.get("X-Answer", 200))
        text = json.dumps({"headers": dict(self.headers), "length": len(body), "path": self.path}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - the standard library's names

    def log_message(self, *_: object) -> None:
        """Silent."""


class Proxy(NamedTuple):
    port: int
    certificate: Path
    backend: ThreadingHTTPServer

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.certificate))
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return context.wrap_socket(plain, server_hostname="localhost")

    def send(self, *pieces: bytes) -> Answer:
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return read_answer(connection)


def read_answer(connection: socket.socket) -> Answer:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        assert piece, f"the connection ended without an answer: {received!r}"
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Answer(int(status_line.split()[1]), headers, body)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, key_file = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return pem, key_file


def fill_in(values: dict[str, str]) -> str:
    """The template with its ${ECM_...} words replaced; an unknown word is a KeyError."""
    return re.sub(r"\$\{(ECM_\w+)\}", lambda word: values[word[1]], TEMPLATE.read_text())


def write_configuration(folder: Path, values: dict[str, str]) -> Path:
    (folder / "site.conf").write_text(fill_in(values))
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log {folder}/main.log;\nworker_processes 1;\n"
        f"{'user root;' if Path('/root').owner() == folder.owner() else ''}\n"
        f"events {{}}\nhttp {{\n{temporary}include {folder}/site.conf;\n}}\n"
    )
    return main


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("nginx did not start listening in 10 seconds")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    certificate, key = make_certificate(folder)
    backend = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    port = free_port()
    values = {
        "ECM_LISTEN": f"127.0.0.1:{port}",
        "ECM_SERVER_NAME": "localhost",
        "ECM_SERVER": f"127.0.0.1:{backend.server_address[1]}",
        "ECM_BODY_PORT": str(free_port()),
        "ECM_BODY_TIMEOUT": f"{BODY_TIMEOUT}s",
        "ECM_TLS_CERTIFICATE": str(certificate),
        "ECM_TLS_KEY": str(key),
        "ECM_LOG_FOLDER": str(folder),
    }
    main = write_configuration(folder, values)
    process = subprocess.Popen([NGINX, "-c", str(main), "-e", str(folder / "main.log")])
    try:
        wait_for(port, process, folder / "main.log")
        yield Proxy(port, certificate, backend)
    finally:
        process.terminate()
        process.wait(10)
        backend.shutdown()
        backend.server_close()


def assert_outcome(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/fhir+json")
    assert json.loads(answer.body)["resourceType"] == "OperationOutcome"
    assert answer.code == code
    assert answer.headers["cache-control"] == "no-store"


def headers_of(size: int, *, lines: int) -> bytes:
    """A GET whose header block, request line and final empty line included, is `size` bytes long."""
    start, end = b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n", b"\r\n"
    room = size - len(start) - len(end)
    each, rest = divmod(room, lines)
    sizes = [each] * (lines - 1) + [each + rest]
    return start + b"".join(b"X-%04d: %s\r\n" % (n, b"a" * (size - 10)) for n, size in enumerate(sizes)) + end


@pytest.mark.parametrize("lines", [1, 4, 40, 400])
def test_headers_over_32_kib_are_refused(proxy: Proxy, lines: int) -> None:
    """Catalogue row 28: 431 too-long, however the bytes are spread over lines."""
    before = Echo.seen
    assert_outcome(proxy.send(headers_of(32 * 1024 + 1, lines=lines)), 431, "too-long")
    assert_outcome(proxy.send(headers_of(200 * 1024, lines=lines)), 431, "too-long")
    assert Echo.seen == before


@pytest.mark.parametrize("lines", [1, 4, 40])
def test_headers_under_the_limit_pass(proxy: Proxy, lines: int) -> None:
    """Catalogue row 28, the other side: a block of 31 KiB reaches the server."""
    assert proxy.send(headers_of(31 * 1024, lines=lines)).status == 200


@pytest.mark.parametrize("transfer", [b"chunked", b"Chunked", b"identity, chunked", b"gzip"])
@pytest.mark.parametrize("length_first", [True, False])
def test_two_statements_of_the_length_are_refused(proxy: Proxy, transfer: bytes, length_first: bool) -> None:
    """Catalogue row 29: 400 structure, in either order; the server behind never sees the request."""
    pair = [b"Content-Length: 5\r\n", b"Transfer-Encoding: " + transfer + b"\r\n"]
    lines = pair if length_first else pair[::-1]
    before = Echo.seen
    head = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n" + b"".join(lines) + b"\r\n"
    answer = proxy.send(head + b"0\r\n\r\n")
    if transfer in {b"chunked", b"Chunked"}:
        assert_outcome(answer, 400, "structure")
    else:
        assert answer.status in {400, 501}
    assert Echo.seen == before


@pytest.mark.parametrize("announced", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
def test_a_stalled_body_is_answered(proxy: Proxy, announced: bytes) -> None:
    """Catalogue row 30: 408 timeout, after the time-out and before the caller gives up; the server sees nothing."""
    before, start = Echo.seen, time.monotonic()
    head = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n"
    answer = proxy.send(head + announced + b"\r\n\r\n", b'3\r\n{"r')
    assert_outcome(answer, 408, "timeout")
    assert BODY_TIMEOUT - 0.5 < time.monotonic() - start < BODY_TIMEOUT + 5
    assert Echo.seen == before


def test_a_body_that_arrives_slowly_but_in_time_passes(proxy: Proxy) -> None:
    """Catalogue row 30, the other side: pauses below the time-out do no harm."""
    with proxy.connect() as connection:
        connection.sendall(b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n")
        for byte in (b"a", b"b", b"c", b"d"):
            time.sleep(BODY_TIMEOUT / 4)
            connection.sendall(byte)
        answer = read_answer(connection)
    assert (answer.status, json.loads(answer.body)["length"]) == (200, 4)


def test_a_body_is_collected_before_the_server_sees_it(proxy: Proxy) -> None:
    """A chunked body reaches the server with its length stated, once."""
    head = b"PUT /fhir/Patient/1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    seen = json.loads(proxy.send(head + b"5\r\nhello\r\n0\r\n\r\n").body)
    assert seen["length"] == 5
    assert {name.lower() for name in seen["headers"]} & {"content-length", "transfer-encoding"} == {"content-length"}


def test_a_large_body_passes_and_a_larger_one_does_not(proxy: Proxy) -> None:
    """Catalogue row 19 at the edge: 50 MiB pass, one byte more is 413 too-long before it is sent."""
    size = 50 * 1024 * 1024
    head = b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    assert json.loads(proxy.send(head % size, b" " * size).body)["length"] == size
    assert_outcome(proxy.send(head % (size + 1)), 413, "too-long")


def test_a_file_of_assignments_may_be_larger(proxy: Proxy) -> None:
    """Only the import operation takes more than 50 MiB."""
    size = 51 * 1024 * 1024
    head = b"POST /fhir/Group/$import-assignments?mode=full HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    answer = json.loads(proxy.send(head % size, b" " * size).body)
    assert (answer["length"], answer["path"]) == (size, "/fhir/Group/$import-assignments?mode=full")


@pytest.mark.parametrize("body", [b"", b"body"])
def test_the_forwarded_headers_are_ours(proxy: Proxy, body: bytes) -> None:
    """A caller chooses neither its address nor the scheme; a good request id is handed on, another is replaced."""
    head = (
        b"POST /fhir/Patient?a=%%7Cb HTTP/1.1\r\nHost: exchange.test:8443\r\nX-Request-Id: %s\r\n"
        b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nForwarded: for=192.0.2.1\r\n"
        b"Content-Length: %d\r\n\r\n"
    )
    seen = json.loads(proxy.send(head % (b"abc-1.2", len(body)) + body).body)
    headers = {name.lower(): value for name, value in seen["headers"].items()}
    assert seen["path"] == "/fhir/Patient?a=%7Cb"
    assert headers["host"] == headers["x-forwarded-host"] == "exchange.test:8443"
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert headers["x-request-id"] == "abc-1.2"
    assert "forwarded" not in headers
    other = json.loads(proxy.send(head % (b"not an id", len(body)) + body).body)["headers"]
    made = next(value for name, value in other.items() if name.lower() == "x-request-id")
    assert re.fullmatch("[0-9a-f]{32}", made)


@pytest.mark.parametrize("status", [400, 404, 408, 413, 422, 503])
@pytest.mark.parametrize("body", [b"", b"body"])
def test_the_servers_own_errors_pass_unchanged(proxy: Proxy, status: int, body: bytes) -> None:
    """What the server says stays as it is: the proxy words only its own refusals."""
    head = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nX-Answer: %d\r\nContent-Length: %d\r\n\r\n"
    answer = proxy.send(head % (status, len(body)) + body)
    assert answer.status == status
    assert json.loads(answer.body)["length"] == len(body)


def test_plain_http_is_refused(proxy: Proxy) -> None:
    """No redirect: a token sent in the clear is already lost."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as plain:
        plain.sendall(b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert_outcome(read_answer(plain), 400, "security")


def test_trace_is_refused(proxy: Proxy) -> None:
    """Catalogue row 31 for the one method that never reaches the server."""
    assert_outcome(proxy.send(b"TRACE /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405, "not-supported")


def test_a_server_that_is_down_is_said_to_be_down(tmp_path: Path) -> None:
    """503 transient with Retry-After, with and without a body: not taken for a stalled body."""
    certificate, key = make_certificate(tmp_path)
    port = free_port()
    values = {
        "ECM_LISTEN": f"127.0.0.1:{port}",
        "ECM_SERVER_NAME": "localhost",
        "ECM_SERVER": f"127.0.0.1:{free_port()}",
        "ECM_BODY_PORT": str(free_port()),
        "ECM_BODY_TIMEOUT": f"{BODY_TIMEOUT}s",
        "ECM_TLS_CERTIFICATE": str(certificate),
        "ECM_TLS_KEY": str(key),
        "ECM_LOG_FOLDER": str(tmp_path),
    }
    main = write_configuration(tmp_path, values)
    process = subprocess.Popen([NGINX, "-c", str(main), "-e", str(tmp_path / "main.log")])
    try:
        wait_for(port, process, tmp_path / "main.log")
        down = Proxy(port, certificate, None)
        for body in (b"", b"body"):
            head = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
            answer = down.send(head + body)
            assert_outcome(answer, 503, "transient")
            assert answer.headers["retry-after"] == "5"
    finally:
        process.terminate()
        process.wait(10)
