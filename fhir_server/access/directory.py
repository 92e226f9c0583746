"""Types that every authenticated caller with scope may see (R2): who offers what, and the definitions all share.

Endpoint is not among them: its `header` may carry credentials.
https://hl7.org/fhir/R4/resourcelist.html (foundation: conformance, terminology; base: entities; specialized)
"""

from typing import Final

_ENTITIES = (
    "HealthcareService",
    "Location",
    "Organization",
    "OrganizationAffiliation",
    "Practitioner",
    "PractitionerRole",
)
_TERMINOLOGY = ("CodeSystem", "ConceptMap", "NamingSystem", "TerminologyCapabilities", "ValueSet")
_CONFORMANCE = (
    "CapabilityStatement",
    "CompartmentDefinition",
    "ExampleScenario",
    "GraphDefinition",
    "ImplementationGuide",
    "MessageDefinition",
    "OperationDefinition",
    "SearchParameter",
    "StructureDefinition",
    "StructureMap",
    "TestScript",
)
_DEFINITIONS = (
    "ActivityDefinition",
    "ChargeItemDefinition",
    "EffectEvidenceSynthesis",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "Library",
    "Measure",
    "PlanDefinition",
    "Questionnaire",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "RiskEvidenceSynthesis",
    "SpecimenDefinition",
)

DIRECTORY_TYPES: Final = frozenset((*_ENTITIES, *_TERMINOLOGY, *_CONFORMANCE, *_DEFINITIONS))


def is_directory(type: str) -> bool:
    """Whether a type belongs to the directory."""
    return type in DIRECTORY_TYPES
