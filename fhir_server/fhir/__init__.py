"""The FHIR data model: pure functions and frozen types, without Flask, SQL or a clock."""
