"""Whether the client that asked for a job still has the rights it began with: asked with every chunk that is stored.

What the rights reach (relations, consents, labels) needs no such question: every statement asks it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, select

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import LETTERS, parse
from fhir_server.fhir.errors import Forbidden
from fhir_server.store.statements import Statement
from fhir_server.store.tables import client

_WHAT = "The client that asked for this job {}. It was stopped; what was stored before stays."


class Registered(NamedTuple):
    """A client's registration, as far as rights go by it."""

    active: bool
    organization: str
    law_class: str
    scopes: str
    purposes: str
    rights: str


_OPERATOR = "operator"
NOBODY = Registered(active=False, organization="", law_class="", scopes="", purposes="", rights="")


def registered(connection: Connection, name: str) -> Registered:
    """The registration of a client now; NOBODY if there is none."""
    rows = _REGISTERED.rows(connection, {"client": name})
    return Registered(bool(rows[0][0]), *rows[0][1:]) if rows else NOBODY


def require(caller: Caller, found: Registered) -> None:
    """Forbidden, in words for the job's status, unless the registration covers all that the job acts with."""
    if not found.active:
        raise Forbidden(_WHAT.format("was deactivated"))
    law_class = _OPERATOR if caller.operator else caller.law_class
    if (found.organization, found.law_class) != (caller.org, law_class):
        raise Forbidden(_WHAT.format("is another organization's now, or of another law class"))
    lost = caller.rights - set(found.rights.split()), {caller.purpose} - set(found.purposes.split())
    if any(lost) or not _covers(found.scopes, caller):
        raise Forbidden(_WHAT.format("has lost scopes, rights or its purpose"))


def _covers(text: str, caller: Caller) -> bool:
    scopes = parse(text)
    return all("*" in scopes.types(letter) or caller.scopes.types(letter) <= scopes.types(letter) for letter in LETTERS)


def unchanged() -> ColumnElement[bool]:
    """Whether the registration is still the one whose `binds` are given."""
    same = [getattr(client.c, name) == bindparam(f"was_{name}") for name in Registered._fields]
    return select(client.c.id).where(client.c.id == bindparam("was_client"), *same).exists()


def binds(name: str, found: Registered) -> Mapping[str, Any]:
    """The values for `unchanged`."""
    return {"was_client": name, **{f"was_{field}": value for field, value in found._asdict().items()}}


_REGISTERED = Statement(
    select(*[client.c[name] for name in Registered._fields]).where(client.c.id == bindparam("client"))
)
