"""Identifiers of organizations that the operator of the exchange has verified, at registration and not by hearsay.

What an organization writes of itself in the directory is its own word; where members or money follow from a number,
such as the NPI in an assignment file, only what stands here counts.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import BindParameter, Connection, bindparam, insert, select

from fhir_server.fhir.errors import Duplicate, Invalid
from fhir_server.store.resources import TENANT
from fhir_server.store.statements import Statement
from fhir_server.store.tables import enrolment

_LONGEST = 256


def parse(text: str) -> tuple[str, str]:
    """(system, value) of `system|value`; Invalid for anything else."""
    system, _, value = text.partition("|")
    if not system or not value or len(text) > _LONGEST or text != text.strip():
        raise Invalid("An identifier is written system|value, as in a search.", "identifier")
    return system, value


def enrol(connection: Connection, organization: str, identifiers: Sequence[str], now_ms: int) -> None:
    """Note the identifiers (`system|value`) as this organization's; Duplicate if one is another's already."""
    for system, value in map(parse, identifiers):
        held = holders(connection, system, [value]).get(value)
        if held is None:
            row = {"tenant": TENANT, "system": system, "value": value, "organization": organization, "at": now_ms}
            connection.execute(insert(enrolment).values(row))
        elif held != organization:
            raise Duplicate(f"{system}|{value} is registered for {held}.", "identifier")


def holders(connection: Connection, system: str, values: Collection[str]) -> dict[str, str]:
    """Value -> "Organization/id" that verifiably has it."""
    if not values:
        return {}
    found = connection.execute(_HOLDERS, {"system": system, "values": sorted(values)})
    return {str(value): str(organization) for value, organization in found}


def identifiers_of(connection: Connection) -> dict[str, list[str]]:
    """Organization -> its verified identifiers, each as `system|value`."""
    found: dict[str, list[str]] = {}
    for row in _ALL.rows(connection, {}):
        found.setdefault(str(row[0]), []).append(f"{row[1]}|{row[2]}")
    return found


_VALUES: BindParameter[Collection[str]] = bindparam("values", expanding=True)
_HOLDERS = select(enrolment.c.value, enrolment.c.organization).where(
    enrolment.c.tenant == TENANT, enrolment.c.system == bindparam("system"), enrolment.c.value.in_(_VALUES)
)
_ALL = Statement(
    select(enrolment.c.organization, enrolment.c.system, enrolment.c.value)
    .where(enrolment.c.tenant == TENANT)
    .order_by(enrolment.c.organization, enrolment.c.system, enrolment.c.value)
)
