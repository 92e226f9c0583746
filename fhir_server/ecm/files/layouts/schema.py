"""One marshmallow schema per layout: what a row means, declared. https://marshmallow.readthedocs.io

It loads {header: cell} into {column name: value} and dumps the reverse, in column order. A load costs about 2 us a
column, so rows that are right are read by the compiled readers of `binding`, and the schema reads those that are not,
naming every column and reason at once. A test holds the two equal.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.files.layouts.column import Column, Layout
from fhir_server.ecm.files.layouts.types import reader, writer
from fhir_server.ecm.member import Unreadable


def missing() -> dict[str, Any]:
    """What is said of a required cell that is blank."""
    return {"code": v.MISSING, "advice": "Fill in this column.", "kept": None}


def row_schema(layout: Layout) -> Schema:
    """The schema of one row of the layout: fields in column order, `data_key` the header.

    The messages of its ValidationError are {header: [{"code", "advice", "kept"}]}.
    """
    cells: dict[str, Any] = {column.name: _cell(column, layout) for column in layout.columns}
    schema: Schema = Schema.from_dict(cells, name=layout.id)(unknown=EXCLUDE)
    return schema


def _cell(column: Column, layout: Layout) -> fields.Function:
    read, write, name = reader(column), writer(column, layout.dates), column.name
    required = column.required == "R" and not column.item

    def load(text: str) -> Any:
        text = text.strip()
        try:
            found = read(text) if text and text not in layout.blanks else None
        except Unreadable as error:
            raise ValidationError([{"code": error.code, "advice": error.advice, "kept": error.kept}]) from error
        if found is None and required:
            raise ValidationError([missing()])
        return found

    def dump(row: Mapping[str, Any]) -> str:
        value = row.get(name)
        return "" if value is None else write(value)

    return fields.Function(
        dump, load, data_key=column.header, allow_none=True, metadata={"confidence": column.confidence}
    )
