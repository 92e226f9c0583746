"""What must reach nobody else: the records of an organization that nobody is related to, and one of every other.

The hermit's records hold one mark in every text, code, number and id, and stand on every live server of the tests. The
organizations of a scene keep a secret each, with a mark of their own: a record about nobody that is shared with nobody.
Every response of every live server is looked through for the marks of others, whoever asked for what, over whichever
library or socket.
"""

import gzip
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.engine import repository, writing
from fhir_server.engine.context import Engine, Transaction
from fhir_server.fhir.errors import FHIRError
from fhir_server.smart.tokens import authenticate
from fhir_server.store.hashing import rh

MARK = "hermit-5d1c07"
ORGANIZATION = f"Organization/{MARK}"
CALLER = Caller(MARK, ORGANIZATION, rh(ORGANIZATION), "covered", parse("system/*.cruds"), "TREAT")

_CODED = {"coding": [{"system": "urn:hermit", "code": MARK, "display": MARK}], "text": MARK}
COMMON: dict[str, Any] = {
    "identifier": [{"system": "urn:hermit", "value": MARK}],
    "extension": [{"url": f"https://hermit.example.org/{MARK}", "valueString": MARK}],
    "meta": {"tag": [{"system": "urn:hermit", "code": MARK}]},
}
_ABOUT = {"reference": f"Patient/{MARK}-Patient"}
_NOTE = [{"text": MARK}]
_PERSON = {
    "name": [{"text": MARK, "family": MARK, "given": [MARK]}], "telecom": [{"system": "phone", "value": MARK}],
    "gender": "female", "birthDate": "1980-01-02",
    "address": [{"line": [MARK], "city": MARK, "postalCode": MARK}],
}  # fmt: skip
RECORDS: dict[str, dict[str, Any]] = {
    "Patient": {**_PERSON, "contact": [{"name": {"text": MARK}, "telecom": [{"system": "phone", "value": MARK}]}]},
    "Condition": {"subject": _ABOUT, "code": _CODED, "note": _NOTE},
    "Observation": {"subject": _ABOUT, "status": "final", "code": _CODED, "valueString": MARK},
    "CarePlan": {"subject": _ABOUT, "status": "active", "intent": "plan", "title": MARK, "note": _NOTE},
    "Goal": {"subject": _ABOUT, "lifecycleStatus": "active", "description": _CODED, "note": _NOTE},
    "Encounter": {"subject": _ABOUT, "status": "planned", "class": {"code": "AMB"}, "reasonCode": [_CODED]},
    "Task": {"for": _ABOUT, "status": "draft", "intent": "plan", "code": _CODED, "description": MARK, "note": _NOTE},
    "DocumentReference": {"subject": _ABOUT, "status": "current", "description": MARK,
                          "content": [{"attachment": {"title": MARK}}]},
    "Group": {"type": "person", "actual": True, "name": MARK, "member": [{"entity": _ABOUT}]},
    "Basic": {"subject": _ABOUT, "code": _CODED},
}  # fmt: skip


def move_in(engine: Engine) -> None:
    """Store the hermit's records, one of them in two versions, and one that is deleted again."""
    context = engine.context(CALLER, "hermit")
    if repository.lookup(context, "Basic", [("_id", f"{MARK}-Basic")]):
        return  # this database had a server before

    def work(transaction: Transaction) -> None:
        made = {}
        for type_, content in RECORDS.items():
            fid = f"{MARK}-{type_}"
            body = orjson.dumps({"resourceType": type_, "id": fid, **COMMON, **content})
            made[type_] = writing.insert(transaction, writing.draft(transaction.context, type_, body), fid)
        transaction.flush()
        second = orjson.dumps({**made["Basic"].resource, "author": _ABOUT})
        made["Basic"] = writing.change(
            transaction, made["Basic"].row, writing.draft(transaction.context, "Basic", second)
        )
        writing.remove(transaction, "DocumentReference", made["DocumentReference"].row)

    context.transact(work)


SECRET = re.compile(rb"secret-5d1c07-[0-9a-f]{16}")
LONGEST = 30  # signs of a mark


def secret_of(organization: int) -> str:
    """The mark in the secret of an organization, by its hash."""
    return f"secret-5d1c07-{organization % 2**64:016x}"


def keep_secret(engine: Engine, organization: str) -> None:
    """Store a record of this organization ("Organization/id") that is about nobody and shared with nobody."""
    owner = rh(organization)
    caller = Caller("secret", organization, owner, "covered", parse("system/*.cruds"), "TREAT")
    text = {"text": secret_of(owner)}
    identifier = [{"system": "urn:secret", "value": secret_of(owner)}]
    about = {"identifier": {"value": "nobody"}, "display": secret_of(owner)}
    flag = {"resourceType": "Flag", "status": "active", "code": text, "subject": about, "identifier": identifier}
    context = engine.context(caller, "secret")
    repository.create(context, writing.draft(context, "Flag", orjson.dumps(flag)))


@dataclass
class Watch:
    """A WSGI application between a server and its callers that notes every response with a mark of others in it.

    With the server's engine it knows who asks, and whose secrets those are.
    """

    app: Callable[..., Iterable[bytes]]
    engine: Engine | None = None
    found: list[str] = field(default_factory=list)
    looked_at: int = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The response as it is."""
        place, packed = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}", []
        token = str(environ.get("HTTP_AUTHORIZATION", "")).rpartition(" ")[2]

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            if self._is_told(str(headers).encode(), token):
                self.found.append(f"{place}: headers")
            packed.append(("Content-Encoding", "gzip") in headers)
            return start_response(status, headers, *more)

        body = self.app(environ, start)
        self.looked_at += 1
        if isinstance(body, list):
            self._look(place, b"".join(body), token, packed=any(packed))
            return body
        return self._streamed(place, body, token)

    def _look(self, place: str, body: bytes, token: str, *, packed: bool) -> None:
        if self._is_told(gzip.decompress(body) if packed and body else body, token):
            self.found.append(place)

    def _is_told(self, text: bytes, token: str) -> bool:
        if MARK.encode() in text:
            return True
        secrets = {found.decode() for found in SECRET.findall(text)}
        return bool(secrets) and secrets != {self._own(token)}

    def _own(self, token: str) -> str:
        """The mark of the organization that asks; "" for a stranger to the server."""
        try:
            assert self.engine
            return secret_of(authenticate(self.engine.database.read(), token, self.engine.clock()).org_hash)
        except (AssertionError, FHIRError):
            return ""

    def _streamed(self, place: str, body: Iterable[bytes], token: str) -> Iterator[bytes]:
        tail = b""
        try:
            for piece in body:
                self._look(place, tail + piece, token, packed=False)
                tail = (tail + piece)[1 - LONGEST :]
                yield piece
        finally:
            getattr(body, "close", lambda: None)()
