"""FHIR search on one type by POST.  https://hl7.org/fhir/R4/search.html"""

from fhir_server.rest.message import Interaction
from fhir_server.rest.searching import by_post

INTERACTION = Interaction("search-type", "POST", "{type}/_search", by_post)
