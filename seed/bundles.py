"""Transaction Bundles of at most a hundred entries, packed so that linked resources stay together.

https://hl7.org/fhir/R4/http.html#transaction
"""

from collections.abc import Iterable, Iterator, Sequence

from seed import numbers
from seed.codes import SEED, Json

LARGEST = 100
Unit = Sequence[tuple[str, Json]]


def _entry(name: str, resource: Json) -> Json:
    """A create that happens once: found again by its seed identifier, or by its tag where the type has none."""
    handle = "identifier" if "identifier" in resource else "_tag"
    request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": f"{handle}={SEED}|{name}"}
    return {"fullUrl": numbers.urn(name), "resource": resource, "request": request}


def _bundle(entries: list[Json]) -> Json:
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def updates(resources: Iterable[Json]) -> Json:
    """A transaction that writes resources under their own ids."""
    return _bundle(
        [
            {
                "fullUrl": numbers.urn(f"{one['resourceType']}/{one['id']}"),
                "resource": one,
                "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"},
            }
            for one in resources
        ]
    )


def creates(units: Iterable[Unit]) -> Iterator[Json]:
    """Transactions that create the resources of the units; a unit is never divided."""
    entries: list[Json] = []
    for unit in units:
        if entries and len(entries) + len(unit) > LARGEST:
            yield _bundle(entries)
            entries = []
        entries += [_entry(name, resource) for name, resource in unit]
    if entries:
        yield _bundle(entries)
