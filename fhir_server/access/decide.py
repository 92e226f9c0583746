"""The same rules in plain Python, told from relations and directives instead of the access table.

It serves as the oracle for `predicate` and for `consequences`; it shares nothing with them but the class bits and the
law table, and looks at one instant where they work with spans.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fhir_server.access.caller import Caller
from fhir_server.access.law import Law, standard
from fhir_server.access.relations import Directive, Rel, Share

_DIRECTORY = frozenset(
    [
        "ActivityDefinition",
        "CapabilityStatement",
        "ChargeItemDefinition",
        "CodeSystem",
        "CompartmentDefinition",
        "ConceptMap",
        "EffectEvidenceSynthesis",
        "EventDefinition",
        "Evidence",
        "EvidenceVariable",
        "ExampleScenario",
        "GraphDefinition",
        "HealthcareService",
        "ImplementationGuide",
        "Library",
        "Location",
        "Measure",
        "MessageDefinition",
        "NamingSystem",
        "OperationDefinition",
        "Organization",
        "OrganizationAffiliation",
        "PlanDefinition",
        "Practitioner",
        "PractitionerRole",
        "Questionnaire",
        "ResearchDefinition",
        "ResearchElementDefinition",
        "RiskEvidenceSynthesis",
        "SearchParameter",
        "SpecimenDefinition",
        "StructureDefinition",
        "StructureMap",
        "TerminologyCapabilities",
        "TestScript",
        "ValueSet",
    ]
)
_PURPOSES = frozenset({"TREAT", "HPAYMT", "HOPERAT", "CAREMGT"})


class Decision(NamedTuple):
    """Whether a row is visible, and the rule that says so."""

    visible: bool
    rule: str


@dataclass(frozen=True, slots=True)
class Row:
    """What the rules look at in a row of `res` or `hist`; `type` by name.

    `ts`: when it was stored. `dates`: the half-open spans by which the resource is found, those of persons left out.
    """

    type: str
    view: int
    rh: int
    owner: int
    patient: int | None
    labels: int
    ts: int = 0
    dates: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class World:
    """Everything that was said about everybody.

    `records` maps a Patient's hash to its row (view 0), `law_classes` an organization's hash to its law class.
    `run_out`: for how many milliseconds an assignment that ended shows what was recorded in its time.
    """

    rels: Collection[Rel] = ()
    directives: Collection[Directive] = ()
    shares: Collection[Share] = ()
    records: Mapping[int, Row] = field(default_factory=dict)
    law_classes: Mapping[int, str] = field(default_factory=dict)
    law: Law = field(default_factory=standard)
    run_out: int = 0


def decide(caller: Caller, letter: str, row: Row, world: World, now: int) -> Decision:
    """Whether the caller may see a current row at this instant, for one scope letter."""
    if not caller.scopes.allows(letter, row.type):
        return Decision(visible=False, rule="R1")
    if row.view == 0:
        return _whole(caller, row, world, now)
    record = world.records.get(row.rh)
    if record is not None and _whole(caller, record, world, now).visible:
        return Decision(visible=False, rule="whole record instead")
    return Decision(visible=_is_shared(caller, row, world, now), rule="R5")


def decide_version(caller: Caller, letter: str, version: Row, *, current: Row, world: World, now: int) -> Decision:
    """Whether the caller may see a superseded version: by itself and by the current row, deleted or not (R13)."""
    if not decide(caller, letter, current, world, now).visible:
        return Decision(visible=False, rule="R13")
    if version.view:
        return Decision(visible=False, rule="contact views have no past")
    return _whole(caller, version, world, now)


def _whole(caller: Caller, row: Row, world: World, now: int) -> Decision:
    if row.type in _DIRECTORY:
        return Decision(visible=True, rule="R2")
    if caller.operator:
        return Decision(visible=False, rule="operator")
    if caller.purpose not in _PURPOSES:
        return Decision(visible=False, rule="R9")
    if row.owner == caller.org_hash:
        return Decision(visible=True, rule="R3")
    for rule, says in (("R4", _is_related), ("run-out", _runs_out)):
        if says(caller, row, world, now):
            return Decision(visible=True, rule=rule)
    return Decision(visible=_is_shared(caller, row, world, now), rule="R5")


def _runs_out(caller: Caller, row: Row, world: World, now: int) -> bool:
    """Whether a former provider may still read it: it was said, and is about, the time of its assignment."""
    mask = world.law(caller.law_class, "assigned", caller.purpose)
    if mask is None or row.labels | mask != mask or _is_denied(caller.org_hash, caller.purpose, row, world, now):
        return False
    former = (rel for rel in world.rels if (rel.org, rel.patient) == (caller.org_hash, row.patient))
    return any(_still_shows(rel, row, world, now) for rel in former)


def _still_shows(rel: Rel, row: Row, world: World, now: int) -> bool:
    """Of an assignment by the owner of the record that ended not long ago and was not opened by mistake."""
    record = world.records.get(rel.patient)
    if rel.kind != "assigned" or not rel.stays or record is None or rel.grantor != record.owner:
        return False
    ended = max(rel.ends, rel.recorded)
    within = not row.dates or any(lo < rel.ends and hi > rel.begins for lo, hi in row.dates)
    return rel.begins < rel.ends and ended <= now < ended + world.run_out and row.ts < rel.ends and within


def _is_related(caller: Caller, row: Row, world: World, now: int) -> bool:
    return _is_entitled(caller.org_hash, caller.law_class, caller.purpose, row, world, now)


def _is_entitled(org: int, law_class: str, purpose: str, row: Row, world: World, now: int) -> bool:
    if row.patient is None or _is_denied(org, purpose, row, world, now):
        return False
    record = world.records.get(row.patient)
    owner = record.owner if record else None
    allowed: int | None = None
    for rel in world.rels:
        if rel.org != org or rel.patient != row.patient or not _counts(rel, owner, world, now):
            continue
        mask = world.law(law_class, rel.kind, purpose)
        if mask is not None:
            allowed = mask | (allowed or 0)
    return allowed is not None and row.labels | allowed == allowed


def _counts(rel: Rel, owner: int | None, world: World, now: int) -> bool:
    """In force, and given by someone who at this instant had the right to give it."""
    if not rel.begins <= now < rel.ends or rel.grantor is None:
        return False
    if rel.grantor == owner:
        return True
    givers = {"assigned": {"plan"}, "care-team": {"plan", "assigned"}}.get(rel.kind, set())
    return any(
        other.kind in givers and other.org == rel.grantor and _counts(other, owner, world, now)
        for other in world.rels
        if other.patient == rel.patient
    )


def _is_shared(caller: Caller, row: Row, world: World, now: int) -> bool:
    if (
        caller.operator
        or caller.purpose not in _PURPOSES
        or _is_denied(caller.org_hash, caller.purpose, row, world, now)
    ):
        return False
    return any(
        (share.org, share.target, share.view) == (caller.org_hash, row.rh, row.view)
        and share.begins <= now < share.ends
        and row.labels | share.mask == share.mask
        and _may_still_give(share, caller.purpose, row, world, now)
        for share in world.shares
    )


def _may_still_give(share: Share, purpose: str, row: Row, world: World, now: int) -> bool:
    """Whether who passed it on has it, or sees it, at this instant."""
    if not share.giver or share.view or share.giver == row.owner:
        return True
    law_class = world.law_classes.get(share.giver, "")
    return _is_entitled(share.giver, law_class, purpose, row, world, now)


def _is_denied(org: int, purpose: str, row: Row, world: World, now: int) -> bool:
    for directive in world.directives:
        if directive.patient != row.patient or directive.effect != "deny":
            continue
        meant = directive.recipient in {0, org} and directive.purpose in {"", purpose}
        about = directive.classes == -1 or directive.classes & row.labels
        if meant and about and directive.begins <= now < directive.ends:
            return True
    return False
