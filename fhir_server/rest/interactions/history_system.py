"""FHIR history of everything on the server that the caller may see.  https://hl7.org/fhir/R4/http.html#history"""

from fhir_server.rest.history import answer
from fhir_server.rest.message import Interaction

INTERACTION = Interaction("history-system", "GET", "_history", answer)
