"""$reindex: search parameters that were posted become searchable; rows of an older release are made anew."""

from fhir_server.jobs import reindex
from fhir_server.rest.operations._operator_job import operator_job

OPERATION = operator_job(reindex.KIND, "indexed anew")
