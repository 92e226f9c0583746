"""The open exchange for California's Enhanced Care Management: a FHIR R4 server for care plans and data sharing."""

__version__ = "0.1.0"
