"""What the provider assigned to a member finds out of them, written into the plan's Patient over FHIR.

A provider may change how the member is reached, spoken to and housed, and nothing else; each fact it changes carries
who verified it and when, so that a plan's older file does not replace it and the return file tells it as new. What
stays home does so whoever writes it. DHCS, ECM Policy Guide, data sharing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.facets import extensions, local_day
from fhir_server.ecm.rosters import verified
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Edits, Transaction
from fhir_server.fhir.errors import BusinessRule

Resource = Mapping[str, Any]

FACTS: Final = ("address", "telecom", "communication")
_SERVERS: Final = frozenset({"id", "text", "meta", "extension", *FACTS})
_META: Final = ("profile", "security", "tag")
_UNIT: Final = "part2"
_MAY: Final = "You may change address, telecom, communication and the extension ecm-homeless of a member's Patient"


def check(transaction: Transaction, change: Change) -> Edits | None:
    """before_write: of another's Patient only what a provider finds out (else BusinessRule), with its marks."""
    before, caller = change.before, transaction.context.caller
    if change.type != "Patient" or before is None or before.owner == caller.org_hash:
        return None
    old, new = change.old or {}, change.resource
    _require_facts_alone(change.interaction, old, new)
    if caller.law_class == _UNIT:  # the plan's Patient would tell whose patient the member is
        message = "A Part 2 unit writes nothing into a plan's Patient: its word would disclose whom it treats."
        raise BusinessRule(message)
    context = transaction.context
    today = local_day(context.now, context.engine.settings.zone)
    edits: dict[tuple[str | int, ...], Any] = {}
    for name in FACTS:
        if (told := _marked(name, old, new, caller.org, today)) != new.get(name, []):
            edits[name,] = told
    if (housing := _housing(old, new, caller.org, today)) != new.get("extension", []):
        edits["extension",] = housing
    return edits


def _require_facts_alone(interaction: str, old: Resource, new: Resource) -> None:
    changed = {name for name in {*old, *new} - _SERVERS if old.get(name) != new.get(name)}
    if interaction == "meta" or any(_meta(old, name) != _meta(new, name) for name in _META):
        changed.add("meta")
    if _others(old) != _others(new):
        changed.add("extension")
    if changed:
        what = ", ".join(sorted(changed))[:64]
        raise BusinessRule(f"{_MAY}, not {what}: the rest is the plan's.", f"Patient.{min(changed)}")


def _meta(resource: Resource, name: str) -> Any:
    return resource.get("meta", {}).get(name, [])


def _others(resource: Resource) -> list[Resource]:
    return [one for one in resource.get("extension", []) if one.get("url") != words.HOMELESS]


def _marked(name: str, old: Resource, new: Resource, verifier: str, today: str) -> list[Resource]:
    """The entries of a list: what is new first and marked, what was known as it was."""
    known, given = old.get(name, []), new.get(name, [])
    gone = verified.kinds(name, known) - verified.kinds(name, given)
    if gone:
        message = f"A member's {name} is replaced, not taken away: say what is right, or mark the entry as old."
        raise BusinessRule(message, f"Patient.{name}")
    kept, fresh = [], []
    for entry in given:
        same = next((one for one in known if _says(one, entry)), None)
        if same is not None:
            kept.append(same)
        else:
            fresh.append(_mark(entry, verifier, today))
    return [*verified.kept_home(name, old, fresh), *kept]


def _says(known: Resource, entry: Resource) -> bool:
    """Whether an entry repeats what is known: marks that were left out are no news, a mark of one's own is."""
    said = extensions(entry, words.VERIFIED)
    return verified.content(known) == verified.content(entry) and (
        not said or said == extensions(known, words.VERIFIED)
    )


def _mark(entry: Resource, verifier: str, today: str) -> dict[str, Any]:
    """The entry with the provider's mark; an earlier day counts if it gave one."""
    day = verified.verified_on(entry)
    others = [one for one in entry.get("extension", []) if one.get("url") != words.VERIFIED]
    found = verified.mark(verifier, day if "" < day <= today else today)
    return {"extension": [found, *others], **{name: value for name, value in entry.items() if name != "extension"}}


def _housing(old: Resource, new: Resource, verifier: str, today: str) -> Sequence[Resource]:
    """The extensions of the Patient: one that tells of housing is marked where it says something new."""
    known = [one.get("valueBoolean") for one in extensions(old, words.HOMELESS)]
    given = extensions(new, words.HOMELESS)
    if known and not given:
        raise BusinessRule("Say whether the member is homeless, or leave what is known.", "Patient.extension")
    if [one.get("valueBoolean") for one in given] == known:
        return [*old.get("extension", [])]
    day = verified.mark(verifier, today)
    return [
        {"url": words.HOMELESS, "valueBoolean": one.get("valueBoolean"), "_valueBoolean": {"extension": [day]}}
        if one.get("url") == words.HOMELESS
        else one
        for one in new.get("extension", [])
    ]
