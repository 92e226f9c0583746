"""FHIR history of all resources of one type.  https://hl7.org/fhir/R4/http.html#history"""

from fhir_server.rest.history import answer
from fhir_server.rest.message import Interaction

INTERACTION = Interaction("history-type", "GET", "{type}/_history", answer)
