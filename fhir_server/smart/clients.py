"""Registered clients: who may ask for tokens, for which organization, with which keys and rights.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin, InvalidScopeError
from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from fhir_server.engine import enrolment
from fhir_server.fhir.errors import Duplicate, Invalid, NotFound
from fhir_server.smart import keys, scopes
from fhir_server.store.db import Database
from fhir_server.store.tables import client as table

LAW_CLASSES = frozenset({"covered", "part2", "non-hipaa", "operator"})
TENANT = 1

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_ORGANIZATION = re.compile(r"Organization/[A-Za-z0-9.-]{1,64}")
_PURPOSES = re.compile(r"[A-Z]+( [A-Z]+)*")
_BEARER_ENDPOINTS = frozenset({"introspection", "revocation"})


@dataclass(frozen=True)
class Client(ClientMixin):
    """One registration. `purposes` and `rights` are words; a token acts with the first purpose."""

    id: str
    name: str
    organization: str
    law_class: str
    scopes: str
    purposes: str
    rights: str
    jwks: bytes
    jwks_uri: str
    active: bool
    created: int

    def get_client_id(self) -> str:
        """The id, as Authlib asks for it."""
        return self.id

    def check_grant_type(self, grant_type: str) -> bool:
        """Backend services have one grant."""
        return grant_type == "client_credentials"

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """A signed assertion everywhere; a bearer token where tokens are asked about."""
        return method == "private_key_jwt" or (method == "bearer" and endpoint in _BEARER_ENDPOINTS)


_COLUMNS = [column for column in table.columns if column.name != "tenant"]


def register(
    db: Database,
    *,
    client_id: str,
    name: str,
    organization: str,
    law_class: str,
    scopes: str,
    now_ms: int,
    purposes: str = "TREAT",
    rights: str = "",
    jwks: Mapping[str, Any] | None = None,
    jwks_uri: str = "",
    identifiers: Sequence[str] = (),
) -> Client:
    """Store and return a new client, and note the verified identifiers (`system|value`) of its organization.

    Invalid names the wrong field; Duplicate says that the id is taken, or an identifier another organization's.
    """
    _check_identity(client_id, organization, law_class)
    _check_rights(scopes, purposes)
    inline = _check_keys(jwks, jwks_uri)
    new = Client(
        client_id,
        name,
        organization,
        law_class,
        " ".join(scopes.split()),
        purposes,
        " ".join(rights.split()),
        inline,
        jwks_uri,
        active=True,
        created=now_ms,
    )

    def work(connection: Connection) -> None:
        try:
            connection.execute(insert(table).values(tenant=TENANT, **vars(new)))
        except IntegrityError as error:
            raise Duplicate("A client of this id is registered already; choose another id.", "client_id") from error
        enrolment.enrol(connection, organization, identifiers, now_ms)

    db.write(work)
    return new


def get(db: Database, client_id: str) -> Client | None:
    """The client of this id, active or not; None when there is none."""
    if not _ID.fullmatch(client_id):
        return None
    row = db.read().execute(select(*_COLUMNS).where(table.c.id == client_id)).one_or_none()
    return _client(row) if row is not None else None


def list_all(db: Database) -> list[Client]:
    """Every client, by id."""
    return [_client(row) for row in db.read().execute(select(*_COLUMNS).order_by(table.c.id))]


def deactivate(db: Database, client_id: str) -> None:
    """End a client: no new tokens, and its tokens stop at the next request; NotFound when there is none."""
    _change(db, client_id, {"active": False})


def replace_keys(db: Database, client_id: str, jwks: Mapping[str, Any] | None = None, jwks_uri: str = "") -> None:
    """Give a client other keys; Invalid when they cannot serve, NotFound when there is no such client."""
    inline = _check_keys(jwks, jwks_uri)
    _change(db, client_id, {"jwks": inline, "jwks_uri": jwks_uri})


def narrow(db: Database, client_id: str, scope_text: str = "", rights: str = "") -> Client:
    """Leave a client no more than these scopes ("": those it has), and take these rights away; NotFound, Invalid."""
    found = get(db, client_id)
    if found is None:
        raise _unknown()
    left = found.scopes
    if scope_text:
        try:
            left = scopes.grant(scope_text, found.scopes)
        except InvalidScopeError as error:
            raise Invalid("These scopes lie beyond the client's registration; narrow takes away.", "scopes") from error
    kept = [word for word in found.rights.split() if word not in rights.split()]
    _change(db, client_id, {"scopes": left, "rights": " ".join(kept)})
    return replace(found, scopes=left, rights=" ".join(kept))


def extend(db: Database, client_id: str, now_ms: int, rights: str = "", identifiers: Sequence[str] = ()) -> Client:
    """Give a client further rights, and its organization further verified identifiers; NotFound, Invalid, Duplicate."""

    def work(connection: Connection) -> None:
        query = select(*_COLUMNS).where(table.c.id == client_id)
        found = connection.execute(query).one_or_none()
        if found is None:
            raise _unknown()
        words = " ".join(dict.fromkeys([*found.rights.split(), *rights.split()]))
        connection.execute(update(table).where(table.c.id == client_id).values(rights=words))
        enrolment.enrol(connection, found.organization, identifiers, now_ms)

    db.write(work)
    changed = get(db, client_id)
    if changed is None:
        raise _unknown()
    return changed


def _unknown() -> NotFound:
    return NotFound("No client of this id is registered; `clients list` shows them.", "client_id")


def _change(db: Database, client_id: str, values: Mapping[str, Any]) -> None:
    def work(connection: Connection) -> int:
        return connection.execute(update(table).where(table.c.id == client_id).values(values)).rowcount

    if db.write(work) == 0:
        raise _unknown()


def _client(row: Row[Any]) -> Client:
    values = row._asdict()
    return Client(**{**values, "jwks": bytes(values["jwks"]), "active": bool(values["active"])})


def _check_identity(client_id: str, organization: str, law_class: str) -> None:
    if not _ID.fullmatch(client_id):
        raise Invalid("A client id has 1 to 128 letters, digits, dots, dashes, colons or underscores.", "client_id")
    if not _ORGANIZATION.fullmatch(organization):
        raise Invalid("Name the client's organization as Organization/[id].", "organization")
    if law_class not in LAW_CLASSES:
        raise Invalid(f"The law class is one of {', '.join(sorted(LAW_CLASSES))}.", "law_class")


def _check_rights(scope_text: str, purposes: str) -> None:
    if wrong := scopes.unknown(scope_text):
        raise Invalid(f"`{wrong[0][:64]}` is no scope; write for example system/Patient.rs.", "scopes")
    if not scope_text.split():
        raise Invalid("A client needs at least one scope, for example system/*.rs.", "scopes")
    if not _PURPOSES.fullmatch(purposes):
        raise Invalid("Purposes of use are codes such as TREAT or HPAYMT, separated by one space.", "purposes")


def _check_keys(jwks: Mapping[str, Any] | None, jwks_uri: str) -> bytes:
    if (jwks is None) == (not jwks_uri):
        raise Invalid("Register either a key set or the URL of one.", "jwks")
    if jwks is not None:
        return keys.registrable(jwks)
    try:
        parts = urlsplit(jwks_uri)
        plain = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and not parts.fragment
        plain = plain and parts.port != 0 and jwks_uri.isascii() and jwks_uri.isprintable()
    except ValueError:
        plain = False
    if not plain:
        raise Invalid("The key set's URL must be an https URL without user name and fragment.", "jwks_uri")
    return b""
