"""Fetching a registered key set: only from the public internet, only plainly, only as long as allowed."""

import datetime as dt
import ipaddress
import json
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fhir_server.smart import jwks, keys
from fhir_server.smart.jwks import Fetched, KeysUnavailable, RemoteKeys
from fhir_server.smart.server import SmartSettings
from tests.smart.site import Clock, running

HOST = "keys.example.org"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for the host, as (server context, client context)."""
    folder = tmp_path_factory.mktemp("tls")
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
    built = built.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    pem = built.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(private.private_bytes(*form) + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "both.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


@pytest.fixture
def host(certificate):
    """A key host on the loopback; `host.answer(handler)` decides what it says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append((self.path, self.headers["Host"]))
            self.server.answer(self)

        def log_message(self, *arguments):
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = certificate[0].wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None
    server.asked = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def says(body, status=200, **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def fetch(host, certificate, url=None, **options):
    address = url or f"https://{HOST}:{host.server_port}/jwks?v=1"
    chosen = {"resolver": lambda *_: ["127.0.0.1"], "context": certificate[1], "allow_private": True, **options}
    return jwks.fetch(address, **chosen)


def test_a_key_set_is_fetched_from_the_resolved_address(host, certificate):
    """T3: resolved once, connected to that address; the name is used for the certificate and the Host header."""
    lookups = []

    def resolver(name, port):
        lookups.append((name, port))
        return ["127.0.0.1"]

    host.answer = says(b'{"keys":[]}', Cache_Control="max-age=120")
    assert fetch(host, certificate, resolver=resolver) == Fetched(b'{"keys":[]}', 120)
    assert lookups == [(HOST, host.server_port)]
    assert host.asked == [("/jwks?v=1", f"{HOST}:{host.server_port}")]


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 401, 404, 500])
def test_only_200_counts(host, certificate, status):
    """T3: no redirect is followed."""
    host.answer = says(b"{}", status, Location=f"https://{HOST}:{host.server_port}/other", Content_Length="2")
    with pytest.raises(KeysUnavailable):
        fetch(host, certificate)
    assert len(host.asked) == 1


def test_a_long_answer_is_cut_off(host, certificate):
    """T3: 256 KiB, not a byte more."""
    host.answer = says(b" " * jwks.LARGEST)
    assert len(fetch(host, certificate).body) == jwks.LARGEST
    host.answer = says(b" " * (jwks.LARGEST + 1))
    with pytest.raises(KeysUnavailable):
        fetch(host, certificate)


def test_a_cut_answer_is_no_key_set(host, certificate):
    """T3: what arrives short of its length does not count."""
    host.answer = says(b'{"keys":[]}', Content_Length="20")
    with pytest.raises(KeysUnavailable):
        fetch(host, certificate)


@pytest.mark.parametrize("where", ["headers", "body", "silence"])
def test_a_slow_answer_is_cut_off(host, certificate, where, monkeypatch):
    """T3: three seconds in all, however slowly the bytes drip (shortened here)."""
    monkeypatch.setattr(jwks, "SECONDS", 0.4)

    def drip(handler):
        if where != "silence":
            handler.wfile.write(b"HTTP/1.0 200 OK\r\n" + (b"\r\n" if where == "body" else b""))
        for _ in range(40):
            if where != "silence":
                handler.wfile.write(b"X: y\r\n")
            time.sleep(0.1)

    host.answer = drip
    started = time.monotonic()
    with pytest.raises(KeysUnavailable):
        fetch(host, certificate)
    assert time.monotonic() - started < 2


def test_the_certificate_must_fit_the_name(host, certificate):
    """T3: pinning the address does not weaken TLS."""
    host.answer = says(b'{"keys":[]}')
    with pytest.raises(KeysUnavailable):
        fetch(host, certificate, f"https://other.example.org:{host.server_port}/jwks")
    with pytest.raises(KeysUnavailable):
        fetch(host, certificate, context=ssl.create_default_context())


PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1"),
    *("169.254.169.254", "0.0.0.0", "0.1.2.3", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "fc00::1", "fd00::1", "fdff::1", "ff02::1"),
    *("ff0e::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1"),
    *("2002:7f00:1::", "2002:0a00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2001::1"),
    *("2001:0:7f00:1::", "100::1", "::127.0.0.1", "localhost", "nonsense", "1.2.3", "0x7f.1", "2130706433"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_private_address_is_connected_to(host, certificate, address):
    """T3: refused before any connection, also when a public address stands beside it."""
    for addresses in ([address], ["8.8.8.8", address]):
        with pytest.raises(KeysUnavailable, match="not in the public internet"):
            fetch(host, certificate, resolver=lambda *_, found=addresses: found, allow_private=False)
    assert host.asked == []


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2001:4860:4860::8888"])
def test_public_addresses_are_public(address):
    assert ipaddress.ip_address(address).is_global
    assert jwks.is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://keys.example.org/jwks",
        "ftp://keys.example.org/jwks",
        "file:///etc/passwd",
        "https://user:secret@keys.example.org/jwks",
        "https://@keys.example.org/jwks",
        "https:///jwks",
        "//keys.example.org/jwks",
        "https://keys.example.org:99999/jwks",
        "https://keys.example.org:x/jwks",
        "https://[::1/jwks",
        "https://keys.example.org/a b\r\nX: y",
        "https://kéys.example.org/jwks",
        "",
    ],
)
def test_only_plain_https_urls(host, certificate, url):
    """T3: nothing is resolved for another URL."""

    def resolver(name, port):
        raise AssertionError("resolved")

    with pytest.raises(KeysUnavailable):
        fetch(host, certificate, url or "https:", resolver=resolver)


def test_a_name_without_address(host, certificate):
    def resolver(name, port):
        raise OSError("no such host")

    with pytest.raises(KeysUnavailable):
        fetch(host, certificate, resolver=resolver)
    with pytest.raises(KeysUnavailable):
        fetch(host, certificate, resolver=lambda *_: [])


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60),
        ({"cache-control": "max-age=120"}, 120),
        ({"cache-control": "public, max-age=120", "age": "100"}, 20),
        ({"cache-control": "max-age=10", "age": "100"}, 0),
        ({"cache-control": "max-age=99999"}, 3600),
        ({"cache-control": "no-store"}, 0),
        ({"cache-control": "No-Cache, max-age=120"}, 0),
        ({"cache-control": "max-age=0"}, 0),
        ({"expires": "Thu, 01 Jan 2026 00:10:00 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 600),
        ({"expires": "Thu, 01 Jan 2026 00:00:00 GMT", "date": "Thu, 01 Jan 2026 00:10:00 GMT"}, 0),
        ({"expires": "0", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 0),
        ({"expires": "Thu, 01 Jan 2026 00:10:00 GMT"}, 0),
        ({"expires": "Thu, 01 Jan 99999999999999999999 00:10:00 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 0),
    ],
)
def test_how_long_a_key_set_is_kept(headers, seconds):
    """SM-18: no longer than the headers say, an hour at most."""
    assert jwks.max_age(headers) == seconds


class Source:
    """A key host that counts, and hands out what it is told to."""

    def __init__(self, *kids, age=120):
        self.kids, self.age, self.asked = list(kids), age, 0

    def __call__(self, _url):
        self.asked += 1
        if not self.kids:
            raise KeysUnavailable("down")
        return Fetched(json.dumps({"keys": [{"kid": kid} for kid in self.kids]}).encode(), self.age)


def kids(remote, kid):
    return [key["kid"] for key in remote.keys("https://keys.example.org", kid)]


def test_who_waits_for_a_key_set_shares_the_next_one():
    """T29: of a set that may not be kept a crowd causes two fetches, one of which began after each of them came."""
    source, gone = Source("a", age=0), threading.Event()

    def slow(url):
        gone.wait(1)
        return source(url)

    remote = RemoteKeys(Clock(), slow)
    with ThreadPoolExecutor(20) as pool:
        crowd = [pool.submit(kids, remote, "a") for _ in range(20)]
        time.sleep(0.3)
        gone.set()
        assert [one.result(20) for one in crowd] == [["a"]] * 20
    assert source.asked == 2
    assert kids(remote, "a") == ["a"]
    assert source.asked == 3


def test_key_sets_are_kept_and_renewed():
    """SM-18: within its age a set is not fetched again; after it, a withdrawn key is gone."""
    clock, source = Clock(), Source("a")
    remote = RemoteKeys(clock, source)
    assert [kids(remote, "a") for _ in range(3)] == [["a"]] * 3
    assert source.asked == 1
    source.kids = ["b"]
    clock.now += 120_000
    assert kids(remote, "a") == ["b"]


def test_an_unknown_kid_asks_again_but_not_often():
    """A new key works soon; guessing kids cannot be used to hammer the key host."""
    clock, source = Clock(), Source("a", age=3600)
    remote = RemoteKeys(clock, source)
    source.kids = ["a", "b"]
    assert kids(remote, "a") == ["a", "b"]
    for _ in range(5):
        kids(remote, "c")
    assert source.asked == 1
    clock.now += 30_000
    for _ in range(5):
        kids(remote, "c")
    assert source.asked == 2


def test_a_key_host_that_is_down_is_left_alone_for_a_moment():
    clock, source = Clock(), Source()
    remote = RemoteKeys(clock, source)
    assert [kids(remote, "a") for _ in range(5)] == [[]] * 5
    assert source.asked == 1
    source.kids = ["a"]
    clock.now += 10_000
    assert kids(remote, "a") == ["a"]


def test_a_client_with_a_registered_url(database, ec_key):
    """SM-18: keys from the registered URL; jku may repeat it and nothing else."""
    url = "https://keys.example.org/jwks"
    published = json.dumps(keys.key_set(ec_key)).encode()
    with running(database, SmartSettings(throttle=""), fetch=lambda _: Fetched(published, 60)) as site:
        site.register(ec_key, jwks=None, jwks_uri=url)
        assert site.ask(site.assertion(ec_key)).status_code == 200
        assert site.ask(keys.sign(ec_key, site.claims(), {"jku": url})).status_code == 200
        for foreign in (
            url + "/",
            url + "#a",
            "https://keys.example.org.evil.example/jwks",
            "https://KEYS.example.org/jwks",
        ):
            assert site.ask(keys.sign(ec_key, site.claims(), {"jku": foreign})).status_code == 401
