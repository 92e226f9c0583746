"""FHIR search over several types by POST.  https://hl7.org/fhir/R4/http.html#search"""

from fhir_server.rest.message import Interaction
from fhir_server.rest.searching import by_post

INTERACTION = Interaction("search-system", "POST", "_search", by_post)
