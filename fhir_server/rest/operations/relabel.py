"""$relabel: labels of what is stored, by the code lists and law classes there are now."""

from fhir_server.jobs import relabel
from fhir_server.rest.operations._operator_job import operator_job

OPERATION = operator_job(relabel.KIND, "labelled anew")
