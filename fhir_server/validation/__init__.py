"""The shape: what base FHIR and the claimed profiles demand of a resource."""
