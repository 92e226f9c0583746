"""The rows of what resources contain: those of some containers read, and removed."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BindParameter, Connection, bindparam, delete, select

from fhir_server.store.tables import contained


class Inner(NamedTuple):
    """One contained resource, in the order of the table's columns."""

    tenant: int
    part: int
    rid: int
    type: int
    fid: str
    holder: int
    gen: int


def of(connection: Connection, holders: Sequence[int]) -> list[Inner]:
    """What these containers (their row numbers) contain."""
    return [Inner._make(row) for row in connection.execute(_OF, {"holders": holders})]


def remove(connection: Connection, holders: Sequence[int]) -> None:
    """Remove what these containers contain."""
    connection.execute(_REMOVE, {"holders": holders})


_HOLDERS: BindParameter[Sequence[int]] = bindparam("holders", expanding=True)
_OF = select(*[contained.c[name] for name in Inner._fields]).where(contained.c.holder.in_(_HOLDERS))
_REMOVE = delete(contained).where(contained.c.holder.in_(_HOLDERS))
