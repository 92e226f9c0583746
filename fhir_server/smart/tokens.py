"""Access tokens: opaque, short-lived, stored only as SHA-256; and the memory of used assertions.

https://hl7.org/fhir/smart-app-launch/backend-services.html#issue-access-token
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.fhir.errors import Issue, LoginRequired
from fhir_server.smart.clients import TENANT, Client
from fhir_server.store.db import Database
from fhir_server.store.hashing import rh
from fhir_server.store.statements import Statement
from fhir_server.store.tables import assertion, client, token

LIFETIME_SECONDS = 300
REALM = "fhir"

_LONGEST_TOKEN = 512
_SWEEP_DELAY_MS = 60_000  # processes' clocks may differ: a used assertion is remembered a little longer than it lives
_SWEEPS = 4  # of 256 issued tokens, how many also clear out what has expired

_JOINED = token.join(client, client.c.id == token.c.client)
_AUTHENTICATE = Statement(
    select(
        token.c.expires,
        token.c.revoked,
        client.c.active,
        client.c.id,
        client.c.organization,
        client.c.law_class,
        token.c.scope,
        token.c.purpose,
        client.c.rights,
    )
    .select_from(_JOINED)
    .where(token.c.hash == bindparam("hash"))
)


@dataclass(frozen=True)
class Token:
    """A live token as the introspection and revocation endpoints see it; times in milliseconds."""

    client: str
    scope: str
    issued: int
    expires: int
    hash: bytes

    def check_client(self, holder: Client) -> bool:
        """Whether the token was issued to this client."""
        return self.client == holder.id

    def is_expired(self) -> bool:
        """Never: `find` returns live tokens only."""
        return False

    def is_revoked(self) -> bool:
        """Never: `find` returns live tokens only."""
        return False


def issue(db: Database, holder: Client, scope: str, now: int, random: Callable[[int], bytes]) -> tuple[str, int]:
    """A new token's text and its life in seconds, stored when this returns."""
    text = base64.urlsafe_b64encode(random(32)).rstrip(b"=").decode()
    digest = _hash(text)
    row = {
        "tenant": TENANT,
        "hash": digest,
        "client": holder.id,
        "scope": scope,
        "purpose": holder.purposes.partition(" ")[0],
        "issued": now,
        "expires": now + LIFETIME_SECONDS * 1000,
        "revoked": False,
    }
    db.write(lambda connection: connection.execute(insert(token).values(row)).rowcount)
    if digest[0] < _SWEEPS:
        sweep(db, now)
    return text, LIFETIME_SECONDS


def bearer(authorization: str | None) -> str:
    """The token in an Authorization header; LoginRequired when there is none."""
    scheme, _, text = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        challenge = {"WWW-Authenticate": f'Bearer realm="{REALM}"'}
        message = "Send an access token in the header `Authorization: Bearer [token]`."
        raise LoginRequired(message, headers=challenge)
    return text.strip()


def authenticate(connection: Connection, text: str, now_ms: int) -> Caller:
    """Whoever holds this token; LoginRequired when it is unknown, revoked, expired or its client has ended."""
    rows = _AUTHENTICATE.rows(connection, {"hash": _hash(text)})
    if not rows or rows[0][1] or not rows[0][2]:
        raise _refused("login", "The access token is not valid. Ask the token endpoint for a new one.")
    if rows[0][0] <= now_ms:
        raise _refused("expired", "The access token has expired. Ask the token endpoint for a new one.")
    return _caller(rows[0][3:])


def find(connection: Connection, text: str, now_ms: int) -> Token | None:
    """The live token of this text; None when it is unknown, revoked, expired or its client has ended."""
    live = (token.c.hash == _hash(text), token.c.expires > now_ms, ~token.c.revoked, client.c.active)
    columns = (token.c.client, token.c.scope, token.c.issued, token.c.expires)
    row = connection.execute(select(*columns).select_from(_JOINED).where(*live)).one_or_none()
    return Token(*row, hash=_hash(text)) if row is not None else None


def revoke(db: Database, digest: bytes) -> None:
    """End the token with this hash; it is refused from the next statement on."""
    statement = update(token).where(token.c.hash == digest).values(revoked=True)
    db.write(lambda connection: connection.execute(statement).rowcount)


def use_assertion(db: Database, client_id: str, jti: str, expires: int) -> bool:
    """Whether this client uses this jti for the first time; of simultaneous uses exactly one is the first."""
    row = {"tenant": TENANT, "client": client_id, "jti": jti, "expires": expires}
    try:
        db.write(lambda connection: connection.execute(insert(assertion).values(row)).rowcount)
    except IntegrityError:
        return False
    return True


def sweep(db: Database, now_ms: int) -> None:
    """Delete tokens and used assertions that have expired."""

    def work(connection: Connection) -> None:
        for table in (token, assertion):
            connection.execute(delete(table).where(table.c.expires < now_ms - _SWEEP_DELAY_MS))

    db.write(work)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text[:_LONGEST_TOKEN].encode(errors="replace")).digest()


def _refused(code: str, message: str) -> LoginRequired:
    challenge = {"WWW-Authenticate": f'Bearer realm="{REALM}", error="invalid_token"'}
    return LoginRequired(issues=[Issue(code, message)], headers=challenge)


@lru_cache(maxsize=1024)
def _caller(row: tuple[str, ...]) -> Caller:
    client_id, organization, law_class, scope, purpose, rights = row
    operator = law_class == "operator"
    return Caller(
        client=client_id,
        org=organization,
        org_hash=rh(organization),
        law_class="non-hipaa" if operator else law_class,
        scopes=parse(scope),
        purpose=purpose,
        operator=operator,
        rights=frozenset(rights.split()),
    )
