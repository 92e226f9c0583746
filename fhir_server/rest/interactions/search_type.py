"""FHIR search on one type by GET.  https://hl7.org/fhir/R4/search.html"""

from fhir_server.engine.context import Context
from fhir_server.rest.message import Interaction, Request, Response
from fhir_server.rest.searching import answer


def search_type(context: Context, request: Request) -> Response:
    """A searchset Bundle of what matches and the caller may see."""
    return answer(context, request, request.parameters)


INTERACTION = Interaction("search-type", "GET", "{type}", search_type)
