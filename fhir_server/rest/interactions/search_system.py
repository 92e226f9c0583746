"""FHIR search over several types by GET.  https://hl7.org/fhir/R4/http.html#search"""

from fhir_server.rest.message import Interaction
from fhir_server.rest.searching import by_get

INTERACTION = Interaction("search-system", "GET", "", by_get)
