"""A Consent read as directives (R6, R8, R16).  https://hl7.org/fhir/R4/consent.html

Denies act; permits are kept with effect `permit` and widen nothing yet, exceptions to a deny included. A deny is read
as widely as it could be meant: a limit that this server cannot apply (a time of the data, single resources, a resource
type, an author, a person as recipient) is left away, so that it withholds more, never less.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fhir_server.access.classes import ALL, ANY_PURPOSE, OPEN, SENSITIVE, START
from fhir_server.access.labels import LabelTable, Membership, no_lists, standard
from fhir_server.access.relations import Directive, Resource, items, local, span
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store.hashing import rh

_MOST: Final = 1000
_ANYONE: Final = 0
_LIMITS: Final = ("actor", "action", "securityLabel", "purpose", "class", "code", "dataPeriod", "data")


@lru_cache(maxsize=1)
def _words() -> Mapping[str, Any]:
    words: Mapping[str, Any] = json.loads(Path(__file__).with_name("consent.json").read_text("utf-8"))
    return words


def directives_of(
    resource: Resource,
    consent: int,
    zone: tzinfo,
    membership: Membership = no_lists,
    table: LabelTable | None = None,
) -> list[Directive]:
    """The directives of one Consent; none unless it is active and about privacy (a declined service denies no sharing).

    BusinessRule if it would make more than a thousand.
    """
    patient = local(resource.get("patient"), "Patient")
    if resource.get("status") != "active" or patient is None or _is_about_something_else(resource):
        return []
    reader = _Reader(rh(patient), zone, membership, table or standard())
    found: list[Directive] = []
    for row in reader.rows(resource):
        if len(found) == _MOST:
            raise BusinessRule(f"A Consent may name at most {_MOST} combinations; split it.", "Consent.provision")
        found.append(Directive(*row, consent, len(found)))
    return found


def require_denials_kept(previous: Sequence[Directive], rows: Sequence[Directive], now: int) -> None:
    """BusinessRule if a denial that is or will be in force would be lifted or narrowed.

    For writers who did not record it: else the organization that a member shuts out could let itself in again.
    """
    kept = [row for row in rows if row.effect == "deny"]
    for old in previous:
        if old.effect != "deny" or old.ends <= now or any(_covers(row, old, now) for row in kept):
            continue
        message = "This lifts a denial. Only the organization that recorded it for the member may lift it."
        raise BusinessRule(message, "Consent.provision")


def _covers(new: Directive, old: Directive, now: int) -> bool:
    everything = new.classes == ALL or (old.classes != ALL and not old.classes & ~new.classes)
    who = new.recipient in {_ANYONE, old.recipient} and new.purpose in {ANY_PURPOSE, old.purpose}
    in_time = new.begins <= max(old.begins, now) and new.ends >= old.ends
    return new.patient == old.patient and who and everything and in_time


def _is_about_something_else(resource: Resource) -> bool:
    codes = _codes(resource.get("scope"))
    return bool(codes) and all(code in _words()["other_scopes"] for code in codes)


def _codes(concept: Any) -> list[str]:
    codings = items(concept, "coding") if isinstance(concept, Mapping) else ()
    return [str(coding.get("code", "")) for coding in codings if isinstance(coding, Mapping)]


Row = tuple[int, int, str, int, str, int, int]  # the first columns of a directive, up to its end


class _Reader:
    """What the provisions of one Consent are read with."""

    def __init__(self, patient: int, zone: tzinfo, membership: Membership, table: LabelTable) -> None:
        self.patient = patient
        self.zone = zone
        self.membership = membership
        self.table = table

    def rows(self, resource: Resource) -> Iterator[Row]:
        root = resource.get("provision") or {}
        begins, ends = span(root.get("period"), self.zone)
        opted_out = any(code in _words()["opt_out"] for code in _codes(resource.get("policyRule")))
        if opted_out and "type" not in root:
            yield (self.patient, _ANYONE, ANY_PURPOSE, ALL, "deny", begins, ends)
        yield from self.provision(root, _effect_of_root(root, opted_out), START, OPEN)

    def provision(self, provision: Resource, effect: str | None, earliest: int, latest: int) -> Iterator[Row]:
        own = span(provision.get("period"), self.zone)
        begins, ends = max(earliest, own[0]), min(latest, own[1])
        if begins >= ends:
            return
        if effect is not None:
            classes = self.denied(provision) if effect == "deny" else self.permitted(provision)
            recipients = _denied_recipients(provision) if effect == "deny" else _permitted_recipients(provision)
            purposes = _denied_purposes(provision) if effect == "deny" else _permitted_purposes(provision)
            for recipient in sorted(recipients):
                for purpose in sorted(purposes):
                    yield (self.patient, recipient, purpose, classes, effect, begins, ends)
        for inner in items(provision, "provision"):
            # A nested provision must say what it does; one that does not can only be read as a deny.
            yield from self.provision(inner, "permit" if inner.get("type") == "permit" else "deny", begins, ends)

    def denied(self, provision: Resource) -> int:
        """Any one limit that we understand bounds the deny; with none it is about everything."""
        for known in (self.labels(provision), self.codes(provision)):
            if known and None not in known and ALL not in known and 0 not in known:
                return _union(known)
        return ALL

    def permitted(self, provision: Resource) -> int:
        if not any(provision.get(name) for name in ("securityLabel", "class", "code", "dataPeriod", "data")):
            return ALL
        named = [bits for bits in self.labels(provision) + self.codes(provision) if bits is not None and bits != ALL]
        return _union(named)

    def labels(self, provision: Resource) -> list[int | None]:
        return [self.label(coding) for coding in items(provision, "securityLabel")]

    def label(self, coding: Any) -> int | None:
        system, code = _pair(coding)
        if system == _words()["confidentiality_system"]:
            return SENSITIVE if code in _words()["restricted"] else ALL
        return self.table.bits(system, code)

    def codes(self, provision: Resource) -> list[int | None]:
        return [
            self.membership(*_pair(coding))
            for concept in items(provision, "code")
            for coding in (items(concept, "coding") or [{}])
        ]


def _effect_of_root(root: Resource, opted_out: bool) -> str | None:  # noqa: FBT001 - one fact of the same Consent
    """R4 leaves the root's type to the policy: an exception to opting in is a deny. PCF and others write it down."""
    if root.get("type") in {"permit", "deny"}:
        return str(root["type"])
    limited = any(root.get(name) for name in _LIMITS)
    return "deny" if limited and not opted_out else None


def _pair(coding: Any) -> tuple[str, str]:
    given = coding if isinstance(coding, Mapping) else {}
    return str(given.get("system", "")), str(given.get("code", ""))


def _union(found: list[int | None] | list[int]) -> int:
    union = 0
    for bits in found:
        union |= bits or 0
    return union


def _receivers(provision: Resource) -> list[Any]:
    """The references of the actors who are to receive; an actor in another role limits the source, not who receives."""
    roles = _words()["recipient_roles"]
    actors = [actor for actor in items(provision, "actor") if isinstance(actor, Mapping)]
    return [actor.get("reference") for actor in actors if set(_codes(actor.get("role"))) & set(roles)]


def _denied_recipients(provision: Resource) -> set[int]:
    receivers = _receivers(provision)
    if not receivers:
        return {_ANYONE}
    persons = _words()["outside_any_organization"]
    organizations = [local(receiver) or "" for receiver in receivers if not local(receiver, *persons)]
    if any(not name.startswith("Organization/") for name in organizations):
        return {_ANYONE}
    return {rh(name) for name in organizations}


def _permitted_recipients(provision: Resource) -> set[int]:
    receivers = _receivers(provision)
    if not receivers:
        return {_ANYONE}
    return {rh(name) for receiver in receivers if (name := local(receiver, "Organization"))}


def _denied_purposes(provision: Resource) -> set[str]:
    words = _words()
    found: set[str] = set()
    for system, code in map(_pair, items(provision, "purpose")):
        known = words["purposes"].get(code) if system in ("", words["purpose_system"]) else None
        found |= set(known) if known is not None else {ANY_PURPOSE}
    return {ANY_PURPOSE} if ANY_PURPOSE in found or not found else found


def _permitted_purposes(provision: Resource) -> set[str]:
    codes = {code[:64] for _, code in map(_pair, items(provision, "purpose")) if code}
    return {ANY_PURPOSE if code == "PurposeOfUse" else code for code in codes} or {ANY_PURPOSE}
