"""Search for one type in a compartment by POST.  https://hl7.org/fhir/R4/http.html#search"""

from fhir_server.rest.message import Interaction
from fhir_server.rest.searching import by_post

INTERACTION = Interaction("search-compartment", "POST", "{type}/{id}/{type}/_search", by_post)
