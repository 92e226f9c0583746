"""What a Consent must hold to count.  42 CFR 2.31 (written consent, 2024 rule); catalogue row 97"""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.ecm import vocabulary as words
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Transaction
from fhir_server.fhir.errors import BusinessRule

_SUBSTANCE_USE = {"ETH", "ETHUD", "OPIOIDUD", "SUD", "42CFRPart2"}


def check(_transaction: Transaction, change: Change) -> None:
    """before_write: an active Consent names its patient; a permit about substance use has every element of 2.31."""
    consent = change.resource
    if change.type != "Consent" or change.interaction == "delete" or consent.get("status") != "active":
        return
    if not consent.get("patient"):
        raise BusinessRule("An active Consent names whom it is from: Consent.patient.", "Consent.patient")
    for path, provision in _provisions(consent.get("provision", {}), "Consent.provision"):
        if provision.get("type") == "permit" and _is_about_substance_use(provision):
            _require_elements(consent, provision, path)


def _provisions(provision: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, provision
    for number, inner in enumerate(provision.get("provision", [])):
        yield from _provisions(inner, f"{path}.provision[{number}]")


def _is_about_substance_use(provision: Mapping[str, Any]) -> bool:
    return any(label.get("code") in _SUBSTANCE_USE for label in provision.get("securityLabel", []))


def _require_elements(consent: Mapping[str, Any], provision: Mapping[str, Any], path: str) -> None:
    """The nine elements of 2.31(a); that it speaks of substance use records is its description."""
    needed = {
        "Consent.organization": (consent.get("organization"), "who may disclose"),
        f"{path}.actor": (provision.get("actor"), "who receives"),
        f"{path}.purpose": (provision.get("purpose"), "the purpose"),
        f"{path}.period": (_ends(provision) or _ends(consent.get("provision", {})), "when or upon what it ends"),
        "Consent.policy": (consent.get("policy") or consent.get("policyRule"), "the right to revoke"),
        "Consent.source[x]": (_source(consent), "the signed form"),
        "Consent.performer": (consent.get("performer"), "who signed"),
        "Consent.dateTime": (consent.get("dateTime"), "the date of the signature"),
    }
    for element, (value, meaning) in needed.items():
        if not value:
            message = f"A consent to share substance use records needs {meaning} ({element})."
            raise BusinessRule(message, element)


def _ends(provision: Mapping[str, Any]) -> Any:
    """A date, or the condition or event upon which the consent ends."""
    events = [one for one in provision.get("extension", []) if one.get("url") == words.CONSENT_EXPIRATION]
    return provision.get("period", {}).get("end") or events


def _source(consent: Mapping[str, Any]) -> Any:
    return consent.get("sourceAttachment") or consent.get("sourceReference")
