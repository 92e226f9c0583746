"""Vaccines administered as the text file of CDC.  https://www2a.cdc.gov/vaccines/iis/iisstandards/vaccines.asp?rpt=cvx

Fields between bars: code, short description, full name, notes, status, whether it is no vaccine, last change.
The properties are those of HL7's definition of the system: https://terminology.hl7.org/CodeSystem-CVX.html
"""

from collections.abc import Iterator

from fhir_server.terminology.distribution import Distribution, Entry, Source

_ENDED = frozenset({"Inactive", "Never Active"})
_FIELDS = 5
_STATUS = {"Active": "active", "Inactive": "inactive", "Pending": "pending", "Never Active": "never-active"}
_YES = frozenset({"true", "1"})


def _read(source: Source) -> Iterator[Entry]:
    with source.text(r"cvx\.txt") as lines:
        for line in lines:
            fields = [part.strip() for part in line.split("|")]
            if len(fields) < _FIELDS or not fields[0].isdecimal():
                continue
            code, short, full, notes, status = fields[:_FIELDS]
            no_vaccine = fields[_FIELDS].lower() in _YES if len(fields) > _FIELDS else False
            properties = {"vaccine-status": (_STATUS.get(status, status),), "non-vaccine": (no_vaccine,)}
            properties |= {"notes": (notes,)} if notes else {}
            yield Entry(code, short, active=status not in _ENDED, definition=full, more=(full,), properties=properties)


DISTRIBUTION = Distribution("cvx", "http://hl7.org/fhir/sid/cvx", "CVX", "cvx.txt", _read)
