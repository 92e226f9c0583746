"""File layouts are data: JSON files in this folder and in folders a plan supplies; no code per layout.

A layout may extend another: its columns replace those of the same name and follow those that stay; those of files that
a provider sends demand no more than the ones they stand on (`reporting`). A plan's folder may also hold `codes/*.json`,
which replace or add code lists. The layout files are read by a marshmallow schema.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from fhir_server.ecm import code_lists
from fhir_server.ecm.files.layouts.column import Column, Layout
from fhir_server.ecm.files.layouts.reporting import PROVIDER, excesses
from fhir_server.ecm.files.layouts.types import TYPES, fold

OWN: Final = Path(__file__).parent
_BLANKS: Final = ("N/A", "n/a", "NA", "#N/A", "NULL", "null", "None", "-", "--", ".")
_CONFIDENCE: Final = ("seed", "found", "unverified", "defined")

Codes = Mapping[str, tuple[str, ...]]


class LayoutError(ValueError):
    """A layout file that cannot be used; says which file and why."""


class _ColumnSchema(Schema):
    name = fields.String(required=True)
    header = fields.String(required=True)
    type = fields.String(required=True, validate=validate.OneOf(TYPES))
    maps_to = fields.String()
    required = fields.String(validate=validate.OneOf(("R", "C", "O")))
    rejects = fields.Boolean()
    of_file = fields.Boolean()
    synonyms = fields.List(fields.String())
    codes = fields.Raw()
    pattern = fields.String(validate=lambda text: bool(re.compile(text)))
    item = fields.String()
    also = fields.List(fields.String())
    write = fields.String(validate=validate.OneOf(("code",)))
    confidence = fields.String(validate=validate.OneOf(_CONFIDENCE))


class _LayoutSchema(Schema):
    id = fields.String(required=True)
    version = fields.String(required=True)
    title = fields.String(required=True)
    source = fields.String(required=True)
    extends = fields.String()
    sent_by = fields.String(validate=validate.OneOf((PROVIDER,)))
    dates = fields.String()
    blanks = fields.List(fields.String())
    key = fields.List(fields.String())
    columns = fields.List(fields.Nested(_ColumnSchema), required=True)


class _CodesSchema(Schema):
    class Meta:
        """Title and source are for people."""

        unknown = EXCLUDE

    id = fields.String(required=True)
    codes = fields.Dict(fields.String(), fields.List(fields.String()), required=True)


def load(folders: Sequence[Path] = ()) -> Mapping[str, Layout]:
    """All layouts by id: our own, then those of the folders, which may extend or replace them.

    LayoutError names the file that cannot be used.
    """
    lists = (code_lists.FOLDER, *(folder / "codes" for folder in folders))
    codes = {
        entry["id"]: {code: tuple(words) for code, words in entry["codes"].items()}
        for entry in _read(lists, _CodesSchema())
    }
    layouts: dict[str, Layout] = {}
    entries = _read((OWN, *folders), _LayoutSchema())
    for entry in sorted(entries, key=lambda entry: "extends" in entry):
        layouts[entry["id"]] = _layout(entry, codes, layouts)
    return MappingProxyType(layouts)


def _read(places: Sequence[Path], schema: Schema) -> list[dict[str, Any]]:
    entries = []
    for path in (path for place in places for path in sorted(place.glob("*.json"))):
        try:
            entries.append(schema.load(orjson.loads(path.read_bytes())))
        except (orjson.JSONDecodeError, ValidationError, re.error) as error:
            raise LayoutError(f"{path.name}: {error}") from error
    return entries


def _layout(entry: dict[str, Any], codes: Mapping[str, Codes], known: Mapping[str, Layout]) -> Layout:
    parent = known.get(entry["extends"]) if "extends" in entry else None
    if "extends" in entry and parent is None:
        raise LayoutError(f"{entry['id']} extends {entry['extends']}, which does not exist.")
    base = known.get(entry["id"], parent)  # what it replaces, else what it extends
    columns: dict[str, Column] = {column.name: column for column in parent.columns} if parent else {}
    for raw in entry["columns"]:
        columns[raw["name"]] = _column(raw, codes, entry["id"])
    layout = Layout(
        id=entry["id"],
        version=entry["version"],
        title=entry["title"],
        source=entry["source"],
        columns=tuple(columns.values()),
        key=tuple(entry.get("key", parent.key if parent else ())),
        dates=entry.get("dates", parent.dates if parent else "%m/%d/%Y"),
        blanks=frozenset((*_BLANKS, *entry.get("blanks", ()))),
        sent_by=entry.get("sent_by", base.sent_by if base else ""),
    )
    _check(layout)
    for excess in excesses(layout, base):
        raise LayoutError(f"{layout.id}: {excess}")
    return layout


def _column(raw: dict[str, Any], codes: Mapping[str, Codes], layout: str) -> Column:
    listed = raw.get("codes", {})
    if isinstance(listed, str):
        if listed not in codes:
            raise LayoutError(f"{layout}: the column {raw['name']} names a code list {listed} that does not exist.")
        listed = codes[listed]
    given = {**raw, "codes": {code: tuple(words) for code, words in listed.items()}}
    given |= {name: tuple(raw[name]) for name in ("synonyms", "also") if name in raw}
    return Column(**given)


def _check(layout: Layout) -> None:
    """No header may name two columns, and every key must be one."""
    owners: dict[str, str] = {}
    for column in layout.columns:
        for header in {fold(text) for text in (column.header, *column.synonyms)}:
            if owners.setdefault(header, column.name) != column.name:
                raise LayoutError(f"{layout.id}: {owners[header]} and {column.name} share a header.")
    missing = set(layout.key) - {column.name for column in layout.columns}
    if missing:
        raise LayoutError(f"{layout.id}: no column {', '.join(sorted(missing))} for the key.")
