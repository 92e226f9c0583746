"""ServiceRequest/$referral-story: every attempt at a request as one story, as Parameters or as a page to be printed."""

from __future__ import annotations

from functools import partial

import orjson

from fhir_server.ecm.referrals import stories, story_page
from fhir_server.ecm.vocabulary import BASE
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue
from fhir_server.rest.arguments import arguments
from fhir_server.rest.message import Operation, Request, Response

_DEFINITION = f"{BASE}/OperationDefinition/ServiceRequest-referral-story"
_HTML = "text/html"


def referral_story(context: Context, request: Request) -> Response:
    """The story as far as the caller may know it; 404 for a request that is absent or hidden."""
    given = arguments(context.engine.definitions, _DEFINITION, request)
    if given.one("format", "html") != "html":
        raise BadValue("format is html, or left out for Parameters.", "format")
    told = stories.story(context, request.id)
    if "format" not in given and _HTML not in request.header("accept"):
        return Response(200, orjson.dumps(stories.as_parameters(told)))
    body = story_page.page(told, context.engine.settings.zone, context.now, partial(_say, context)).encode()
    headers = {"Content-Type": f"{_HTML}; charset=utf-8", "Content-Security-Policy": story_page.POLICY}
    return Response(200, body, headers)


def _say(context: Context, system: str, code: str) -> str:
    return context.engine.terminology.display(system, code) or code


OPERATION = Operation(
    name="referral-story",
    levels=("instance",),
    types=("ServiceRequest",),
    handler=referral_story,
    methods=("GET", "POST"),
    definition=_DEFINITION,
    answers_file=True,
)
