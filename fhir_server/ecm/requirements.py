"""Which resources must conform to an ECM profile although they do not claim it: profiles/ecm/requirements.json."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from fhir_server.fhir.folders import data_folder

Row = Mapping[str, Any]


def required_profiles() -> Callable[[str, Mapping[str, Any]], tuple[str, ...]]:
    """A function (type, resource) -> canonical URLs of the profiles that policy demands of it."""
    rows = orjson.loads((data_folder("profiles") / "ecm" / "requirements.json").read_bytes())["rows"]
    by_type: dict[str, list[Row]] = {}
    for row in rows:
        by_type.setdefault(row["type"], []).append(row)

    def required(type_: str, resource: Mapping[str, Any]) -> tuple[str, ...]:
        rows = by_type.get(type_)
        if not rows:
            return ()
        claimed = resource.get("meta", {}).get("profile", ())  # what is claimed is checked anyway
        found = [row["profile"] for row in rows if row["profile"] not in claimed and _applies(row["when"], resource)]
        return tuple(dict.fromkeys(found))

    return required


def _applies(conditions: Sequence[Row], resource: Mapping[str, Any]) -> bool:
    return all(_holds(condition, resource) for condition in conditions)


def _holds(condition: Row, resource: Mapping[str, Any]) -> bool:
    values = list(_at(resource, condition["path"].split(".")))
    if condition.get("absent"):
        return not values
    return any(_fits(condition, value) for value in values)


def _fits(condition: Row, value: Any) -> bool:
    if "startsWith" in condition:
        return isinstance(value, str) and value.startswith(condition["startsWith"])
    wanted = {name: condition[name] for name in ("system", "code") if name in condition}
    return isinstance(value, dict) and all(value.get(name) == text for name, text in wanted.items())


def _at(node: Any, path: Sequence[str]) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from _at(item, path)
    elif not path:
        yield node
    elif isinstance(node, dict) and path[0] in node:
        yield from _at(node[path[0]], path[1:])
