"""One marshmallow schema per layout: what a row means, declared. https://marshmallow.readthedocs.io

It loads {header: cell} into {column name: value} and dumps the reverse, in column order. A load costs about 2 us a
column, so rows that are right are read by the compiled readers of `binding`, and the schema reads those that are not,
naming every column and reason at once. A test holds the two equal.
"""

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.files.layouts.column import Column, Layout
from fhir_server.ecm.files.layouts.types import reader, writer
from fhir_server.ecm.member import Unreadable


class Cell(fields.Field):  # type: ignore[type-arg]
    """A cell of one column; its errors are {"code", "advice", "kept"}."""

    def __init__(self, column: Column, layout: Layout) -> None:
        super().__init__(data_key=column.header, allow_none=True, metadata={"confidence": column.confidence})
        self._read = reader(column)
        self._write = writer(column, layout.dates)
        self._required = column.required == "R" and not column.item
        self._blanks = layout.blanks

    def _serialize(self, value: Any, _attr: str | None, _obj: Any, **_kwargs: Any) -> str:
        return "" if value is None else self._write(value)

    def _deserialize(self, value: Any, _attr: str | None, _data: Any, **_kwargs: Any) -> Any:
        text = value.strip()
        try:
            found = self._read(text) if text and text not in self._blanks else None
        except Unreadable as error:
            raise ValidationError([{"code": error.code, "advice": error.advice, "kept": error.kept}]) from error
        if found is None and self._required:
            raise ValidationError([missing()])
        return found


def missing() -> dict[str, Any]:
    """What is said of a required cell that is blank."""
    return {"code": v.MISSING, "advice": "Fill in this column.", "kept": None}


def row_schema(layout: Layout) -> Schema:
    """The schema of one row of the layout: fields in column order, `data_key` the header."""
    cells: dict[str, Any] = {column.name: Cell(column, layout) for column in layout.columns}
    schema: Schema = Schema.from_dict(cells, name=layout.id)(unknown=EXCLUDE)
    return schema
