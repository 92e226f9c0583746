"""FHIR search on one type by GET.  https://hl7.org/fhir/R4/search.html"""

from fhir_server.rest.message import Interaction
from fhir_server.rest.searching import by_get

INTERACTION = Interaction("search-type", "GET", "{type}", by_get)
