"""HCPCS level II as the contractor file of CMS.  https://www.cms.gov/medicare/coding-billing/healthcare-common-procedure-system

Columns (HCPCyyyy_recordlayout.txt, beside the file): 1-5 code, of a modifier 4-5, 11 kind of line (3 and 7 begin a
procedure or modifier, 4 and 8 go on with its description), 12-91 long and 92-119 short description, 285-292 when it
ended. What begins with a digit is CPT of the American Medical Association, should the file hold it, and is left out.
"""

from collections.abc import Iterator

from fhir_server.terminology.distribution import Distribution, Entry, Source

_BEGINS, _CONTINUES = {"3": "procedure", "7": "modifier"}, {"4", "8"}


def _read(source: Source) -> Iterator[Entry]:
    current: tuple[str, str, str, bool] | None = None
    long: list[str] = []
    with source.text(r"(?i:HCPC\w*ANWEB\w*\.txt)") as lines:
        for line in lines:
            kind = line[10:11]
            if line[0:5].strip()[:1].isdigit() or not line[5:10].strip().isdecimal():
                continue
            if kind in _BEGINS:
                if current:
                    yield _entry(*current, long)
                current = line[0:5].strip(), _BEGINS[kind], line[91:119].strip(), not line[284:292].strip()
                long = [line[11:91].strip()]
            elif kind in _CONTINUES:
                long.append(line[11:91].strip())
    if current:
        yield _entry(*current, long)


def _entry(code: str, kind: str, short: str, active: bool, long: list[str]) -> Entry:  # noqa: FBT001 - as it was read
    display = " ".join(part for part in long if part)
    return Entry(code, display or short, active=active, more=(short,), properties={"kind": (kind,)})


DISTRIBUTION = Distribution(
    "hcpcs",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "HCPCS Level II",
    "HCPCyyyy_MMM_ANWEB.txt, or the zip archive with it",
    _read,
)
