"""FHIR search on one type by POST.  https://hl7.org/fhir/R4/search.html#Introduction"""

from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, InsecureRequest
from fhir_server.rest.decoding import pairs
from fhir_server.rest.message import Interaction, Request, Response
from fhir_server.rest.searching import answer


def search_post(context: Context, request: Request) -> Response:
    """As by GET; parameters of the URL and of the form both count (B-49)."""
    try:
        form = pairs(request.body.decode())
    except UnicodeDecodeError as error:
        raise BadValue("The form is not UTF-8.") from error
    if any(name == "access_token" for name, _ in form):
        raise InsecureRequest("An access token does not belong in a form. Send it as Authorization: Bearer.")
    return answer(context, request, [*request.parameters, *form])


INTERACTION = Interaction("search-type", "POST", "{type}/_search", search_post)
