"""Text in UTF-8 with columns separated by `|`; quoting as in CSV where a cell holds a pipe or an end of line."""

from functools import partial
from typing import Final

from fhir_server.ecm.files.format import Format
from fhir_server.ecm.files.formats import _delimited

FORMAT: Final = Format(
    name="pipe",
    media_types=("text/plain", "text/pipe-separated-values", "text/x-pipe"),
    suffix="txt",
    pads=False,
    check=partial(_delimited.check, delimiter="|"),
    open=partial(_delimited.read, delimiter="|"),
    write=partial(_delimited.write, delimiter="|"),
)
