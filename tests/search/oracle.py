"""Search told again in plain Python, without indexes, SQL or the server's own parsing: what the tests compare with.

A test says what it wants as a Case: how it is written in a URL, and whether a resource meets it.
"""

import unicodedata
from calendar import monthrange
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

Resource = dict[str, Any]
Stored = list[Resource]
Holds = Callable[[Stored, Resource], bool]

HERE = "https://here.example/fhir"
PACIFIC = ZoneInfo("America/Los_Angeles")
START, END = -(10**17), 10**17


class Case(NamedTuple):
    """`name=value`, and whether it holds for a resource among all that is stored."""

    name: str
    value: str
    holds: Holds


def walk(value: Any, path: str) -> list[Any]:
    """The values at a dotted path, lists flattened; several paths stand between blanks."""
    if " " in path:
        return [found for one in path.split() for found in walk(value, one)]
    values = [value]
    for name in path.split("."):
        found = [item.get(name) for item in values if isinstance(item, dict)]
        values = [leaf for item in found for leaf in (item if isinstance(item, list) else [item]) if leaf is not None]
    return values


# ---- tokens


WITHOUT_CASE = {  # systems that know no difference between small letters and capitals
    "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10", "http://loinc.org",
    "http://hl7.org/fhir/sid/icd-9-cm", "http://www.ama-assn.org/go/cpt", "http://nucc.org/provider-taxonomy",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "http://www.cms.gov/Medicare/Coding/ICD10",
}  # fmt: skip


def tokens(resource: Resource, path: str) -> list[tuple[str, str]]:
    """(system, code) of every value; a code element has system ""."""
    return [pair for value in walk(resource, path) for pair in _pairs(value)]


def _pairs(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, bool):
        return [("", "true" if value else "false")]
    if isinstance(value, str):
        return [("", value)]
    if "coding" in value:
        return [pair for coding in value["coding"] for pair in _pairs(coding)]
    code = value.get("code", value.get("value"))
    return [(value.get("system", ""), code or "")] if code or value.get("system") else []


def token_fits(pair: tuple[str, str], system: str | None, code: str | None, implied: str = "") -> bool:
    """System None: any; "" none. code None: any code of the system."""
    if code is None:
        return pair[0] == system
    if pair[1] != code:
        return False
    return system is None or pair[0] == system or bool(implied and system == implied and pair[0] == "")


# ---- strings


def plain(text: str) -> str:
    """Lower case without accents."""
    decomposed = unicodedata.normalize("NFD", text.replace("\u2019", "'"))
    return "".join(sign for sign in decomposed if unicodedata.category(sign) != "Mn").lower()


def strings(resource: Resource, path: str) -> list[str]:
    """Every text of a string parameter; names and addresses by part and joined."""
    return [text for value in walk(resource, path) for text in _texts(value)]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    order = ("prefix", "given", "family", "suffix", "line", "city", "district", "state", "postalCode", "country")
    parts = [part for name in order for part in walk(value, name)]
    return [*parts, *walk(value, "text"), *([" ".join(parts)] if parts else [])]


def unsigned(text: str) -> str:
    """Plain text without punctuation: apostrophes and full stops gone, spaces for the rest."""
    kept = plain(text).replace("'", "").replace(".", "")
    return " ".join("".join(sign if sign.isalnum() else " " for sign in kept).split())


def later_names(resource: Resource, path: str) -> list[str]:
    """What family and given names are from their second, third, ... word on."""
    names = [[one] if isinstance(one, str) else walk(one, "family given") for one in walk(resource, path)]
    found = [name for several in names for name in several] if path.endswith(("name", "family", "given")) else []
    split = [unsigned(name).split() for name in found]
    return [" ".join(names[at:]) for names in split for at in range(1, len(names))]


def string_fits(text: str, wanted: str, modifier: str) -> bool:
    if modifier == "exact":
        return text == wanted
    if modifier == "contains":
        return plain(wanted) in plain(text) or plain(wanted) in unsigned(text)
    start = unsigned(wanted)
    return plain(text).startswith(plain(wanted)) or bool(start and unsigned(text).startswith(start))


def strings_fit(resource: Resource, path: str, wanted: str, modifier: str) -> bool:
    """Whether a text of a parameter fits, or without modifier a later part of a family name."""
    texts = strings(resource, path) + ([] if modifier else later_names(resource, path))
    return any(string_fits(text, wanted, modifier) for text in texts)


def words(text: str) -> list[str]:
    """Letters and digits in a row."""
    return "".join(sign if sign.isalnum() else " " for sign in plain(text)).split()


def said(resource: Resource, code: str) -> list[str]:
    """The words of the narrative, or of every text."""
    if code == "_text":
        return [word for div in walk(resource, "text.div") for word in words(_untagged(div))]
    return [word for text in _leaves(resource) for word in words(_untagged(text))]


def _untagged(div: str) -> str:
    return " ".join(piece.rpartition(">")[2] for piece in div.split("<"))


def _leaves(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for child in node.values() for text in _leaves(child)]
    if isinstance(node, list):
        return [text for child in node for text in _leaves(child)]
    return [node] if isinstance(node, str) else []


# ---- dates


def span(text: str) -> tuple[int, int]:
    """[from, until) in milliseconds; no zone means Pacific time."""
    if "T" in text:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=PACIFIC)
        width = 1 if "." in text else 1000 if text.count(":") >= (3 if text[-6] in "+-" else 2) else 60_000
        return _ms(moment), _ms(moment) + width
    numbers = [int(part) for part in text.split("-")]
    year, month, day = (*numbers, 1, 1)[:3]
    days = {1: 366 if monthrange(year, 2)[1] == 29 else 365, 2: monthrange(year, month)[1], 3: 1}[len(numbers)]
    first = datetime(year, month, day, tzinfo=PACIFIC)
    return _ms(first), _ms(first + timedelta(days=days))  # wall-clock days: midnight to midnight


def _ms(moment: datetime) -> int:
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def spans(resource: Resource, path: str) -> list[tuple[int, int]]:
    return [found for value in walk(resource, path) for found in _spans(value)]


def _spans(value: Any) -> list[tuple[int, int]]:
    if isinstance(value, str):
        return [span(value)]
    start, end = value.get("start"), value.get("end")
    return [(span(start)[0] if start else START, span(end)[1] if end else END)] if start or end else []


def date_fits(target: tuple[int, int], prefix: str, asked: tuple[int, int]) -> bool:
    """B-37: the interval of the resource against the interval asked for."""
    (low, high), (start, end) = target, asked
    inside = start <= low and high <= end
    if prefix == "ap":
        width = end - start
        return low < end + width and start - width < high
    return {
        "": inside,
        "eq": inside,
        "ne": not inside,
        "gt": high > end,
        "lt": low < start,
        "ge": high > end or inside,
        "le": low < start or inside,
        "sa": low >= end,
        "eb": high <= start,
    }[prefix]


# ---- numbers and quantities

LOW, HIGH = Decimal("-1e9"), Decimal("1e9")
TINY = Decimal("1e-9")
Unit = tuple[str, str, str]  # system, code, word


def amounts(resource: Resource, path: str) -> list[tuple[Decimal, Decimal, Unit]]:
    """(least, greatest, unit) of every number, quantity, range and amount of money that has a value."""
    return [found for value in walk(resource, path) for found in _amounts(value)]


def _amounts(value: Any) -> list[tuple[Decimal, Decimal, Unit]]:
    if not isinstance(value, dict):
        return [(Decimal(str(value)), Decimal(str(value)), ("", "", ""))]
    if "low" in value or "high" in value:
        ends = [value.get("low"), value.get("high")]
        unit = _unit(ends[0] or ends[1])
        low, high = (Decimal(str(one["value"])) if one else None for one in ends)
        return [(LOW if low is None else low, HIGH if high is None else high, unit)]
    if "data" in value:
        origin, factor = Decimal(str(value["origin"]["value"])), Decimal(str(value.get("factor", 1)))
        numbers = [origin + factor * Decimal(word) for word in value["data"].split() if word not in "EUL"]
        return [(min(numbers), max(numbers), _unit(value["origin"]))]
    if "value" not in value:
        return []
    number, sign = Decimal(str(value["value"])), value.get("comparator", "")
    low = LOW if "<" in sign else number + TINY if sign == ">" else number
    high = HIGH if ">" in sign else number - TINY if sign == "<" else number
    return [(low, high, _unit(value))]


def _unit(value: Resource) -> Unit:
    if "currency" in value:
        return "urn:iso:std:iso:4217", value["currency"], ""
    return value.get("system", ""), value.get("code", ""), value.get("unit", "")


def amount_fits(target: tuple[Decimal, Decimal], prefix: str, asked: str) -> bool:
    """B-39: without prefix the last digit asked for counts, with one the number is exact."""
    (low, high), number = target, Decimal(asked)
    places = len(asked.partition(".")[2])
    half = Decimal(5).scaleb(-places - 1)
    if prefix in ("", "eq", "ne"):
        inside = number - half <= low and high < number + half
        return inside is (prefix != "ne")
    if prefix == "ap":
        margin = max(abs(number) / 10, half)
        return low <= number + margin and high >= number - margin
    return {
        "gt": high > number,
        "lt": low < number,
        "ge": high >= number,
        "le": low <= number,
        "sa": low > number,
        "eb": high < number,
    }[prefix]


GRAMS = {("http://unitsofmeasure.org", "mg"): Decimal("0.001"), ("http://unitsofmeasure.org", "g"): Decimal(1)}


def in_unit(
    target: tuple[Decimal, Decimal, Unit], system: str | None, code: str | None
) -> tuple[Decimal, Decimal, Unit]:
    """The same amount in the unit asked for, where both are units of UCUM for one kind of measure."""
    has, wants = GRAMS.get(target[2][:2]), GRAMS.get((system or "", code or ""))
    if has is None or wants is None:
        return target
    return target[0] * has / wants, target[1] * has / wants, (system or "", code or "", "")


def unit_fits(unit: Unit, system: str | None, code: str | None) -> bool:
    """No code: any unit. No system: the code, or the word for the unit."""
    if code is None:
        return True
    if not system:
        return code in unit[1:]
    return unit[:2] == (system, code)


# ---- references


def references(resource: Resource, path: str) -> list[str]:
    """Targets in one spelling: ours relative and without version, others as written."""
    return [_one_spelling(text) for text in walk(resource, f"{path}.reference") if not text.startswith("#")]


def _one_spelling(text: str) -> str:
    own = text.removeprefix(f"{HERE}/")
    return own if "://" in own or own.startswith("urn:") else own.partition("/_history/")[0]


def target_of(stored: Stored, reference: str) -> Resource | None:
    return next((one for one in stored if f"{one['resourceType']}/{one['id']}" == reference), None)


def in_record(patient: str) -> Holds:
    """B-50: whether a resource refers to this patient as the one it is about."""
    paths = {"Task": "for", "CarePlan": "subject", "Observation": "subject", "RiskAssessment": "subject"}

    def holds(stored: Stored, resource: Resource) -> bool:
        path = paths.get(resource["resourceType"])
        return path is not None and f"Patient/{patient}" in references(resource, path)

    return holds


def across(stored: Stored, kinds: Iterable[str], cases: Iterable[Case]) -> list[str]:
    """The ids of several types, none meaning all, that meet all cases, newest first."""
    kinds, cases = tuple(kinds), list(cases)
    found = [one for one in stored if not kinds or one["resourceType"] in kinds]
    return [one["id"] for one in found if all(case.holds(stored, one) for case in cases)][::-1]


def matching(stored: Stored, kind: str, cases: Iterable[Case]) -> list[str]:
    """The ids of a type that meet all cases, in the order in which they were stored."""
    cases = list(cases)
    return [
        one["id"] for one in stored if one["resourceType"] == kind and all(case.holds(stored, one) for case in cases)
    ]
