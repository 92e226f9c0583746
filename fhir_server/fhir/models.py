"""The only import of fhir.resources: building resources in code, and detailed words for what is wrong with one.

The models are R4B (4.3.0); every difference from R4 (4.0.1) that matters stands here.
https://hl7.org/fhir/R4B/diff.html
"""

from collections.abc import Mapping
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from fhir_core.fhirabstractmodel import FHIRAbstractModel
from pydantic import ValidationError

from fhir_server.fhir.errors import Issue, NotSupported, Structure

MAX_ISSUES = 50

# R4 types that R4B renamed, rebuilt or dropped: only the structural check knows them.
WITHOUT_MODEL = frozenset(
    {
        "EffectEvidenceSynthesis",
        "Evidence",
        "EvidenceVariable",
        "MedicinalProduct",
        "MedicinalProductAuthorization",
        "MedicinalProductContraindication",
        "MedicinalProductIndication",
        "MedicinalProductIngredient",
        "MedicinalProductInteraction",
        "MedicinalProductManufactured",
        "MedicinalProductPackaged",
        "MedicinalProductPharmaceutical",
        "MedicinalProductUndesirableEffect",
        "RiskEvidenceSynthesis",
        "SubstanceNucleicAcid",
        "SubstancePolymer",
        "SubstanceProtein",
        "SubstanceReferenceInformation",
        "SubstanceSourceMaterial",
        "SubstanceSpecification",
    }
)

# Members R4 has and R4B lacks, in types that have a model; a resource that uses them is built from plain data.
ONLY_R4 = frozenset({"valueMeta", "defaultValueMeta", "fixedMeta", "patternMeta"})

# Members R4B added: the models would let them pass, R4 does not know them.
ONLY_R4B = frozenset(
    {
        "subjectCanonical",
        *(
            f"{stem}{kind}"
            for stem in ("value", "defaultValue", "fixed", "pattern")
            for kind in ("CodeableReference", "RatioRange")
        ),
    }
)

# Besides its own error the library lets these out of strange shapes, such as a number as resourceType.
_FAILURES = (ValidationError, TypeError, LookupError, AttributeError)

_CODES = {"extra_forbidden": "structure", "missing": "required", "model_validation_format": "structure"}


def build(kind: str, data: Mapping[str, Any]) -> FHIRAbstractModel:
    """The model of a resource or data type; Structure with every problem found, NotSupported where R4B has no model."""
    model = _model(kind)
    try:
        built: FHIRAbstractModel = model.model_validate(dict(data))
    except _FAILURES as error:
        raise Structure(issues=_issues(kind, error)) from None
    return built


def dump(model: FHIRAbstractModel) -> dict[str, Any]:
    """The plain JSON members of a model, ready for orjson; a Decimal becomes a float and may lose trailing zeros."""
    return dict(model.model_dump(mode="json"))


def problems(kind: str, data: Mapping[str, Any]) -> list[Issue]:
    """What the models find wrong, in detail, up to 50 issues; empty if nothing, or if R4B has no model of this type."""
    if kind in WITHOUT_MODEL:
        return []
    issues = [
        Issue("structure", f"{name} came after R4", path) for name, path in _members(data, kind) if name in ONLY_R4B
    ]
    try:
        _model(kind).model_validate(dict(data))
    except _FAILURES as error:
        issues += [issue for issue in _issues(kind, error) if not _only_r4(issue)]
    return issues[:MAX_ISSUES]


def _model(kind: str) -> type[FHIRAbstractModel]:
    if kind in WITHOUT_MODEL:
        raise NotSupported(f"there is no model class for {kind}; build it as plain data")
    model: type[FHIRAbstractModel] = get_fhir_model_class(kind)
    return model


def _only_r4(issue: Issue) -> bool:
    return issue.code == "structure" and (issue.expression or "").rpartition(".")[2] in ONLY_R4


def _members(node: Any, path: str) -> list[tuple[str, str]]:
    if isinstance(node, Mapping):
        here = [(name, f"{path}.{name}") for name in node]
        return here + [found for name, child in node.items() for found in _members(child, f"{path}.{name}")]
    if isinstance(node, list):
        return [found for index, child in enumerate(node) for found in _members(child, f"{path}[{index}]")]
    return []


def _issues(kind: str, error: Exception) -> list[Issue]:
    if not isinstance(error, ValidationError):
        return [Issue("structure", "the resource has a shape that the models cannot read", kind)]
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [
        Issue(_CODES.get(e["type"], "value"), e["msg"].removeprefix("Value error, ")[:300], _expression(kind, e["loc"]))
        for e in found[:MAX_ISSUES]
    ]


def _expression(kind: str, steps: tuple[int | str, ...]) -> str:
    return kind + "".join(f"[{step}]" if isinstance(step, int) else f".{step[:64]}" for step in steps)
