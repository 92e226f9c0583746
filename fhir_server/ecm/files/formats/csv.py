"""Comma-separated values in UTF-8.  https://www.rfc-editor.org/rfc/rfc4180"""

from functools import partial
from typing import Final

from fhir_server.ecm.files.format import Format
from fhir_server.ecm.files.formats import _delimited

FORMAT: Final = Format(
    name="csv",
    media_types=("text/csv", "application/csv"),
    suffix="csv",
    pads=False,
    check=partial(_delimited.check, delimiter=","),
    open=partial(_delimited.read, delimiter=","),
    write=partial(_delimited.write, delimiter=","),
)
