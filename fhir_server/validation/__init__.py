"""The shape: base FHIR, then the profiles a resource claims or a rule requires; it knows nothing of storage."""
