"""ICD-10-CM as the order file of CMS and NCHS.  https://www.cms.gov/medicare/coding-billing/icd-10-codes

Columns (icd10OrderFiles.pdf, beside the file): 1-5 order number, 7-13 code without its point, 15 whether it is valid
for billing, 17-76 short and 78- long description. Categories stand before what they hold; chapters and blocks are not
in the file. Its name has changed: icd10cm_order_2022.txt, icd10cm-order-2026.txt, icd10cm-order-April-1-2026.txt.
"""

import re
from collections.abc import Iterator

from fhir_server.terminology.distribution import Distribution, Entry, Source

_CATEGORY = 3
_CODE = re.compile(r"[A-Z][0-9A-Z]{2,6}")


def _read(source: Source) -> Iterator[Entry]:
    seen: set[str] = set()
    with source.text(r"(?i:icd10cm[-_]order[-_](?!addenda)[\w-]+\.txt)") as lines:
        for line in lines:
            bare, billable = line[6:14].strip(), line[14:15] == "1"
            if not (line[:5].strip().isdecimal() and _CODE.fullmatch(bare)):
                continue
            seen.add(bare)
            above = next((bare[:end] for end in range(len(bare) - 1, _CATEGORY - 1, -1) if bare[:end] in seen), None)
            short, display = line[16:76].strip(), line[77:].strip()
            yield Entry(
                _pointed(bare),
                display or short,
                (_pointed(above),) if above else (),
                more=(short,),
                properties={"billable": (billable,)},
            )


def _pointed(bare: str) -> str:
    return bare if len(bare) <= _CATEGORY else f"{bare[:_CATEGORY]}.{bare[_CATEGORY:]}"


DISTRIBUTION = Distribution(
    "icd-10-cm",
    "http://hl7.org/fhir/sid/icd-10-cm",
    "ICD-10-CM",
    "icd10cm-order-YYYY.txt, or the zip archive with it",
    _read,
)
