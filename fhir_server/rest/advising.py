"""What profiles advise of a resource and of what it refers to: for those who ask, and no reason to refuse anything.

https://hl7.org/fhir/R4/resource-operation-validate.html and docs/adr (targets of references)
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.engine.references import local
from fhir_server.fhir.errors import Issue
from fhir_server.validation.findings import Findings, Target
from fhir_server.validation.profile_words import off_profile

_MOST_TARGETS = 20


def advice(context: Context, type_: str, resource: Mapping[str, Any], required: Sequence[str]) -> list[Issue]:
    """Warnings and information on a resource that is right; the targets of its references are read at once, if any."""
    found = context.engine.profiles.advise(type_, resource, required, context.now)
    return [*_off_profile(context, found.targets), *found.issues]


def _off_profile(context: Context, targets: Sequence[Target]) -> Iterator[Issue]:
    """A warning for every reference to a resource here that keeps none of the profiles.

    Nothing is told of a target that is hidden, absent or elsewhere, nor of one that the caller sees in part.
    """
    base = context.engine.settings.base_url.rstrip("/") + "/"
    named = {one: local(one.reference.removeprefix(base)) for one in targets[:_MOST_TARGETS]}
    wanted = sorted({name for name in named.values() if name})
    rows = repository.read_all(context, wanted) if wanted else {}
    whole = {name: orjson.loads(row.body) for name, row in rows.items() if not row.view}
    for one, name in named.items():
        target = whole.get(name or "")
        if target is not None and not _keeps_one(context, one, target):
            text = f"{one.where}: {off_profile(target['resourceType'], one.profiles)}"
            yield Issue("invariant", text, one.where, severity="warning")


def _keeps_one(context: Context, asked: Target, target: Any) -> bool:
    return any(context.engine.profiles.conforms(url, target, Findings(target)) for url in asked.profiles)
