"""Key sets fetched from the URL a client registered, without becoming a way into our own network.

https only, the name resolved once and every address checked, the connection made to a checked address, no redirects,
3 seconds and 256 KiB in all, kept no longer than the answer's headers allow.  https://www.rfc-editor.org/rfc/rfc7517
"""

import http.client
import ipaddress
import re
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from fhir_server.smart.keys import read_key_set

SECONDS = 3.0
LARGEST = 256 * 1024

_DEFAULT_AGE = 60  # seconds, where the answer says nothing
_LONGEST_AGE = 3600
_FAILURE_MS = 10_000  # a key set that could not be had is not asked for again within this time
_MISS_MS = 30_000  # an unknown kid asks again for a key set at least this old
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Resolve = Callable[[str, int], Sequence[str]]


class KeysUnavailable(Exception):
    """The key set could not be had; the message says why, for the audit and not for the caller."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A key set document and for how many seconds it may be kept."""

    body: bytes
    max_age: int


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as the operating system knows them."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_public(address: str) -> bool:
    """Whether an address lies in the public internet; embedded IPv4 addresses count as not public."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        embedded = parsed.ipv4_mapped or parsed.sixtofour or parsed.teredo or parsed in _NAT64
        if embedded or parsed.is_site_local:
            return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def fetch(
    url: str,
    resolver: Resolve = resolve,
    context: ssl.SSLContext | None = None,
    *,
    allow_private: bool = False,
) -> Fetched:
    """The document at a registered URL; KeysUnavailable for everything that is not a plain, public, quick 200."""
    host, port, target = _split(url)
    address = _checked_address(host, port, resolver, allow_private=allow_private)
    connection = _Pinned(host, port, address, context or ssl.create_default_context())
    watchdog = threading.Timer(SECONDS, connection.abort)
    watchdog.daemon = True
    watchdog.start()
    try:
        return _get(connection, target)
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
        raise KeysUnavailable(f"The key set could not be fetched: {type(error).__name__}.") from error
    finally:
        watchdog.cancel()
        connection.close()


def _split(url: str) -> tuple[str, int, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
    except ValueError as error:
        raise KeysUnavailable("The key set's URL cannot be read.") from error
    if parts.scheme != "https" or not host or "@" in parts.netloc or not url.isascii() or not url.isprintable():
        raise KeysUnavailable("The key set's URL must be https, without a user name.")
    return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _checked_address(host: str, port: int, resolver: Resolve, *, allow_private: bool) -> str:
    try:
        addresses = resolver(host, port)
    except (OSError, UnicodeError) as error:
        raise KeysUnavailable("The key set's host has no address.") from error
    if not addresses or not (allow_private or all(map(is_public, addresses))):
        raise KeysUnavailable("The key set's host is not in the public internet.")
    return addresses[0]


class _Pinned(http.client.HTTPSConnection):
    """An HTTPS connection to one address, with the certificate checked for the host's name."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=SECONDS, context=context)
        self._address = address
        self._tls = context
        # The base class forgets its socket as soon as the headers say that the connection will end.
        self._open: ssl.SSLSocket | None = None
        self.aborted = False

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), timeout=SECONDS)
        self._open = self.sock = self._tls.wrap_socket(
            self.sock, server_hostname=self.host, do_handshake_on_connect=False
        )
        if self.aborted:
            raise TimeoutError
        self._open.do_handshake()

    def abort(self) -> None:
        """End the connection from another thread: reading from it then fails at once."""
        self.aborted = True
        try:
            if self._open is not None:
                socket.socket.shutdown(self._open, socket.SHUT_RDWR)
        except OSError:
            return  # it has ended already


def _get(connection: _Pinned, target: str) -> Fetched:
    connection.request("GET", target, headers={"Accept": "application/json", "Accept-Encoding": "identity"})
    answer = connection.getresponse()
    if answer.status != HTTPStatus.OK:
        raise KeysUnavailable("The key set's host did not answer 200.")
    body = answer.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise KeysUnavailable("The key set is longer than 256 KiB.")
    if connection.aborted or answer.length:
        raise KeysUnavailable("The key set did not arrive whole and in time.")
    return Fetched(body, max_age({name.lower(): value for name, value in answer.getheaders()}))


def max_age(headers: Mapping[str, str]) -> int:
    """For how many seconds an answer with these headers may be kept; an hour at most."""
    control = headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return 0
    if found := re.search(r"max-age=\"?(\d{1,9})", control):
        spent = headers.get("age", "0")
        return max(0, min(int(found[1]), _LONGEST_AGE) - (int(spent) if spent.isdecimal() else 0))
    return _until(headers) if "expires" in headers else _DEFAULT_AGE


def _until(headers: Mapping[str, str]) -> int:
    try:
        span = parsedate_to_datetime(headers["expires"]) - parsedate_to_datetime(headers["date"])
        return max(0, min(int(span.total_seconds()), _LONGEST_AGE))
    except (KeyError, ValueError, TypeError, OverflowError):
        return 0


@dataclass(frozen=True, slots=True)
class _Kept:
    keys: list[dict[str, Any]]
    at: int
    until: int


class RemoteKeys:
    """The fetched key sets of one process; one fetch at a time for each URL, shared by all who came before it began."""

    def __init__(self, clock: Callable[[], int], get: Callable[[str], Fetched]) -> None:
        self._clock = clock
        self._get = get
        self._kept: dict[str, _Kept] = {}
        self._begun: defaultdict[str, int] = defaultdict(int)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def keys(self, url: str, kid: str) -> list[dict[str, Any]]:
        """The keys at a URL, asked for again when they may be kept no longer or `kid` is not among them; [] if none."""
        before = self._begun[url]
        with self._locks[url]:
            kept, is_new = self._kept.get(url), self._begun[url] > before
            if kept is None or (not is_new and self._is_stale(kept, kid)):
                self._begun[url] += 1
                kept = self._kept[url] = self._load(url)
            return kept.keys

    def _is_stale(self, kept: _Kept, kid: str) -> bool:
        now = self._clock()
        known = any(key.get("kid") == kid for key in kept.keys)
        return now >= kept.until or (not known and now - kept.at >= _MISS_MS)

    def _load(self, url: str) -> _Kept:
        now = self._clock()
        try:
            fetched = self._get(url)
            return _Kept(read_key_set(fetched.body), now, now + fetched.max_age * 1000)
        except (KeysUnavailable, ValueError):
            return _Kept([], now, now + _FAILURE_MS)
