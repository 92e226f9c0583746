"""FHIR history of one resource.  https://hl7.org/fhir/R4/http.html#history"""

from fhir_server.rest.history import answer
from fhir_server.rest.message import Interaction

INTERACTION = Interaction("history-instance", "GET", "{type}/{id}/_history", answer)
