"""The authorization server's URLs: the only file of this room that knows Flask.

https://hl7.org/fhir/smart-app-launch/conformance.html#using-well-known and https://www.rfc-editor.org/rfc/rfc6749#section-3.2
"""

import json
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from fhir_server.engine.request_ids import HEADER, request_id
from fhir_server.fhir.errors import FHIRError
from fhir_server.smart import discovery
from fhir_server.smart.request import Answer, FormRequest
from fhir_server.smart.server import Services, SmartServer

LARGEST_FORM = 64 * 1024

_JSON = ("Content-Type", "application/json")
_PRIVATE = [_JSON, ("Cache-Control", "no-store"), ("Pragma", "no-cache")]
_PUBLIC = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "86400"),
]


def smart_blueprint(services: Services) -> Blueprint:
    """Token, introspection, revocation and discovery, to be mounted at the root of the application."""
    server = SmartServer(services)
    blueprint = Blueprint("smart", __name__)
    for path, act in (
        (discovery.TOKEN_PATH, server.token),
        (discovery.INTROSPECTION_PATH, server.introspect),
        (discovery.REVOCATION_PATH, server.revoke),
    ):
        blueprint.add_url_rule(path, path.rpartition("/")[2], _posted(server, act), methods=["POST"])
    document = json.dumps(server.configuration()).encode()
    for name, path in (("configuration", "/fhir" + discovery.WELL_KNOWN), ("configuration_root", discovery.WELL_KNOWN)):
        blueprint.add_url_rule(
            path, name, _published(document), methods=["GET", "OPTIONS"], provide_automatic_options=False
        )
    return blueprint


def _published(document: bytes) -> Callable[[], Response]:
    def view() -> Response:
        if request.method == "OPTIONS":
            return Response(status=204, headers=_PUBLIC)
        return Response(document, headers=[_JSON, *_PUBLIC, ("Cache-Control", "public, max-age=300")])

    return view


def _posted(server: SmartServer, act: Callable[[FormRequest], Answer]) -> Callable[[], Response]:
    def view() -> Response:
        problem = _form_problem()
        asked = _asked({} if problem else request.form.to_dict())
        try:
            answer = act(asked) if problem is None else server.refuse(request.path.rpartition("/")[2], asked, problem)
        except FHIRError as error:  # a passing condition of the store, such as an audit trail that takes nothing
            answer = _unavailable(error)
        return Response(json.dumps(answer.body), answer.status, [*answer.headers, (HEADER, asked.number)])

    return view


def _asked(form: dict[str, str]) -> FormRequest:
    authorization, number = request.headers.get("Authorization", ""), request_id(request.headers.get(HEADER, ""))
    return FormRequest(form, authorization, request.remote_addr or "", number)


def _form_problem() -> Answer | None:
    """Why the request is no form that can be answered; None when it is one."""
    if request.query_string:
        return _invalid("Send the parameters in the body; a URL is logged on its way.")
    if request.mimetype != "application/x-www-form-urlencoded":
        return _invalid("Send a form: Content-Type application/x-www-form-urlencoded.")
    request.max_content_length = LARGEST_FORM
    try:
        fields = request.form.lists()
        repeated = [name for name, values in fields if len(values) > 1]
    except RequestEntityTooLarge:
        return _invalid("The form is longer than 64 KiB.", status=413)
    return _invalid("A parameter may be given once only.") if repeated else None


def _unavailable(error: FHIRError) -> Answer:
    body = {"error": "temporarily_unavailable", "error_description": str(error)}
    return Answer(error.status, body, [*_PRIVATE, *error.headers.items()])


def _invalid(description: str, status: int = 400) -> Answer:
    body: dict[str, Any] = {"error": "invalid_request", "error_description": description}
    return Answer(status, body, _PRIVATE)
