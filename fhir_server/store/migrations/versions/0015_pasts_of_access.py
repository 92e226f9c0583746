"""Rows of the access tables know since when they are said, and stay when they are replaced; assignments run out.

What ended before has no run-out: nobody can tell any more whether it was opened by mistake.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_BIG, _SMALL, _TEXT = sa.BigInteger, sa.SmallInteger, sa.Text
_ENDS = ("part", "tenant")


def _table(name: str, columns: dict[str, Any], *key: str) -> None:
    whole = {"tenant": _SMALL, "part": _SMALL, **columns}
    made = [sa.Column(column, kind(), nullable=False) for column, kind in whole.items()]
    op.create_table(name, *made, sa.PrimaryKeyConstraint(*key, *_ENDS), sqlite_with_rowid=False)


def _numbers(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, _BIG)


def upgrade() -> None:
    """Add the columns and the tables."""
    op.add_column("rel", sa.Column("stays", _SMALL(), nullable=False, server_default="0"))
    for name in ("rel", "directive", "share"):
        op.add_column(name, sa.Column("recorded", _BIG(), nullable=False, server_default="0"))
    columns = _numbers("patient", "org", "since", "before", "ended")
    _table("runout", columns, "patient", "org", "since", "before")
    end = {"recorded": _BIG, "replaced": _BIG}
    of_rel = {"kind": _TEXT, **_numbers("from", "until", "source"), "stays": _SMALL}
    key = ("patient", "org", "kind", "source", "from", "replaced")
    _table("rel_past", {**_numbers("patient", "org"), **of_rel, **end}, *key)
    of_directive = {"purpose": _TEXT, "classes": _BIG, "effect": _TEXT, **_numbers("from", "until", "consent")}
    columns = {**_numbers("patient", "recipient"), **of_directive, "ordinal": _SMALL, **end}
    _table("directive_past", columns, "patient", "consent", "ordinal", "replaced")
    of_share = {"view": _SMALL, **_numbers("mask", "from", "until", "source", "giver"), **end}
    _table("share_past", {**_numbers("org", "target"), **of_share}, "target", "org", "view", "source", "replaced")
