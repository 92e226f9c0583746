"""`Idempotency-Key`: a POST that is sent again is answered again, and done once (P13, row 116)."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import orjson

from fhir_server.engine import idempotency, repository
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.idempotency import Answer
from fhir_server.fhir.errors import BadValue, Conflict, FHIRError
from fhir_server.rest.message import Request, Response
from fhir_server.rest.replaying import replayed

HEADER = "idempotency-key"
_LONGEST = 255
_MEANT = ("content-type", "if-match", "if-none-exist", "prefer")
_AGAIN = {"Retry-After": "1"}

Handler = Callable[[Context, Request], Response]


class KeyReused(FHIRError):
    """The key stood for another request before."""

    status, code = 422, "conflict"


def once(context: Context, request: Request, work: Handler) -> Response:
    """The answer of `work`, kept under the request's key; the kept one if it was done already.

    KeyReused (422) if the key stood for another request, Conflict (409) while that one is being worked on.
    """
    key = _key(request)
    with _alone(context, key):
        return context.transact(lambda transaction: _once(transaction, key, request, work))


def _once(transaction: Transaction, key: str, request: Request, work: Handler) -> Response:
    context, digest = transaction.context, _digest(transaction.context, request)
    if not idempotency.hold(transaction, key):
        raise _busy()
    known = idempotency.find(transaction, key)
    if known is None:
        response = work(context, request)
        body = response.body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        idempotency.keep(transaction, key, Answer(digest, response.status, response.headers, response.modified, body))
        return response
    if known.digest != digest:
        raise KeyReused("This Idempotency-Key stood for another request. Take a new key for a new request.")
    repository.note(context, "replay", known.status, "/".join(request.path))
    body = replayed(context, request, known)
    return Response(known.status, body, {**known.headers, "Idempotency-Replayed": "true"}, known.modified)


def _key(request: Request) -> str:
    key = request.header(HEADER).strip()
    if not key or len(key) > _LONGEST or not key.isascii() or not key.isprintable():
        raise BadValue(f"Idempotency-Key must be 1 to {_LONGEST} printable ASCII characters.")
    return key


def derived(request: Request) -> str:
    """A short name for the request's key, from which each entry of a batch takes a key of its own."""
    return hashlib.sha256(_key(request).encode()).hexdigest()


def _digest(context: Context, request: Request) -> bytes:
    """What makes two requests the same: all that the answer depends on, rights included."""
    caller = context.caller
    asked = [request.method, request.path, list(request.parameters), [request.header(name) for name in _MEANT]]
    rights = [caller.scopes.text, caller.purpose, caller.org]
    return hashlib.sha256(orjson.dumps([asked, rights]) + b"\0" + request.body).digest()


@contextmanager
def _alone(context: Context, key: str) -> Iterator[None]:
    """One request under a key at a time in this process; the database sees to the other processes."""
    running: dict[tuple[str, str], None] = context.engine.memo.setdefault("idempotency", {})
    mine = (context.caller.client, key)
    with _LOCK:
        if mine in running:
            raise _busy()
        running[mine] = None
    try:
        yield
    finally:
        with _LOCK:
            running.pop(mine)


def _busy() -> Conflict:
    return Conflict("The request with this Idempotency-Key is being worked on. Ask again.", headers=_AGAIN)


_LOCK = Lock()
