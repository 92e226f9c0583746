"""Posting lists of numbers, of quantities, and of values that stand together in one element."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_PLACE: dict[str, Any] = {
    "tenant": sa.SmallInteger(),
    "part": sa.SmallInteger(),
    "param": sa.Integer(),
    "rid": sa.BigInteger(),
}


def _exact() -> sa.Text:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _posting(name: str, values: dict[str, Any], key: list[str]) -> None:
    columns = [sa.Column(column, kind, nullable=False) for column, kind in {**_PLACE, **values}.items()]
    op.create_table(
        name,
        *columns,
        sa.PrimaryKeyConstraint("param", *key, "part", "tenant"),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{name}_rid", name, ["rid", "param"], unique=False)


def upgrade() -> None:
    """Create the three lists; rows come with the next version of a resource."""
    _posting("num", {"lo": _exact(), "hi": _exact()}, ["lo", "hi", "rid"])
    unit = {"sys": sa.BigInteger(), "code": _exact(), "unit": _exact()}
    _posting("qty", {"lo": _exact(), "hi": _exact(), **unit}, ["lo", "hi", "rid", "sys", "code", "unit"])
    first = {"val": _exact(), "sys": sa.BigInteger()}
    texts = {f"text{number}": _exact() for number in range(1, 5)}
    numbers = {"number1": sa.BigInteger(), "number2": sa.BigInteger()}
    key = ["val", "text1", "number1", "rid", "sys", "text2", "text3", "text4", "number2"]
    _posting("comp", {**first, **texts, **numbers}, key)
