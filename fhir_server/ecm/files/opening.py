"""Opening a file that came in: the layout it follows, bound to its header, and the rows below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from fhir_server.ecm.files import layouts
from fhir_server.ecm.files.format import NumberedRow, Opening
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.layouts.binding import Bound, bind
from fhir_server.ecm.files.layouts.column import Layout
from fhir_server.ecm.files.layouts.header import looks_like
from fhir_server.engine.context import Context, Engine


def known_layouts(context: Context) -> Mapping[str, Layout]:
    """The file layouts by id, those of the deployment's own folder included."""
    return layouts_of(context.engine)


def layouts_of(engine: Engine) -> Mapping[str, Layout]:
    """The same of an engine; LayoutError names a file that cannot be used."""
    own = engine.settings.layouts_folder
    return layouts.load([Path(own)] if own else [])


def open_rows(context: Context, stream: IO[bytes], arguments: Mapping[str, Any]) -> tuple[Bound, Iterator[NumberedRow]]:
    """(the layout bound to the file's header, the rows below it); Unprocessable for a file that is not what it says.

    `arguments`: format and layout by name, and `facts` that hold where the file says nothing.
    """
    form, layout = FORMATS[arguments["format"]], known_layouts(context)[arguments["layout"]]
    opening = Opening(partial(looks_like, layout))
    rows = form.open(cast("Any", stream), opening)
    return bind(layout, rows, form, arguments["facts"], opening), rows
