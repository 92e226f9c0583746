"""The application: build the engine, let its guests in, mount the blueprints; nothing else."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import parent_process
from multiprocessing.util import Finalize
from typing import Any

import structlog
from flask import Response, request
from werkzeug.exceptions import HTTPException

from fhir_server.config import Settings, from_environment
from fhir_server.engine import repository
from fhir_server.engine.build import build
from fhir_server.engine.context import Engine
from fhir_server.fhir.errors import FHIRError, UnknownType
from fhir_server.jobs import reindex, relabel, remains
from fhir_server.jobs.worker import Worker
from fhir_server.rest import asynchronous
from fhir_server.rest.answer import ANYONE, Service
from fhir_server.rest.failures import places_only
from fhir_server.rest.gate import WAITING, Gate
from fhir_server.rest.health import Health
from fhir_server.rest.routes import all_routes
from fhir_server.rest.shares import Shares
from fhir_server.rest.turns import Turns
from fhir_server.rest.views import Application, refusal
from fhir_server.smart.server import Services, SmartSettings
from fhir_server.smart.views import smart_blueprint

structlog.configure(
    processors=[
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.add_log_level,
        places_only,
        structlog.processors.JSONRenderer(),
    ]
)

Guest = Callable[[Engine], None]


def create_app(settings: Settings | None = None, guests: Sequence[Guest] | None = None) -> Application:
    """The WSGI application over a migrated database; `guests` are the extensions let in, all installed ones if None."""
    app = Application("fhir_server")
    app.service = _service(settings or from_environment(), guests)
    app.extensions["engine"] = engine = app.service.engine
    app.register_blueprint(smart_blueprint(_smart_services(engine)))
    app.register_error_handler(HTTPException, _answer_http_error)
    engine.start()
    app.gate, app.turns, app.health = Gate(engine.settings.most_running, WAITING), Turns(), Health(engine)
    _end_with_the_process(app)
    if engine.settings.embedded_worker:
        app.extensions["worker"] = worker = Worker(engine)
        worker.start()
    return app


def _end_with_the_process(app: Application) -> None:
    """A server's process that ends in good order hands back its jobs and drains its log of reads."""

    def end() -> None:
        if "worker" in app.extensions:
            app.extensions["worker"].stop()
        app.extensions["engine"].close()

    if parent_process() is not None:
        Finalize(None, end, exitpriority=100)


def create_engine(settings: Settings, guests: Sequence[Guest] | None = None) -> Engine:
    """The engine with its guests, for the worker and the command line."""
    return _service(settings, guests).engine


def _service(settings: Settings, guests: Sequence[Guest] | None) -> Service:
    """The engine with its guests, the routes, and the kinds of jobs."""
    engine = build(settings)
    engine.recipe = partial(create_engine, guests=guests)
    for register in installed_guests() if guests is None else guests:
        register(engine)
    routes = all_routes(engine.definitions.types, engine.operations)
    service = Service(engine, routes, Shares(settings.requests_per_minute))
    engine.operations = service.routes.operations
    engine.hooks.on_purge += [asynchronous.forget, remains.note]
    engine.jobs |= {job.kind: job for job in (reindex.JOB, relabel.JOB, asynchronous.job(service.entry))}
    return service


def installed_guests() -> list[Guest]:
    """The extensions that are there: without the folder `ecm` the server is a plain FHIR server."""
    if find_spec("fhir_server.ecm") is None:
        return []
    return [import_module("fhir_server.ecm.extension").register]


def _smart_services(engine: Engine) -> Services:
    settings = SmartSettings(private_key_hosts=engine.settings.allow_private_jwks)

    def on_event(what: Any) -> None:
        context = engine.context(ANYONE, str(what.get("request", "")), str(what.get("address", "")))
        status = int(what.get("status", 0))
        told = f"{what.get('event', '')} {what.get('client', '')} {what.get('scope', '')}".rstrip()
        if what.get("authenticated"):
            engine.reads.append(context.event("oauth", status, [], told[:256]))
        else:
            repository.note_refusal(context, "oauth", status, told)

    return Services(engine.database, engine.settings.base_url, engine.clock, settings, on_event)


def _answer_http_error(error: HTTPException) -> Response:
    if error.code == 404:  # noqa: PLR2004 - Not Found
        return refusal(UnknownType("There is nothing at this URL."), request.environ)
    failure = FHIRError(error.description or "The request cannot be answered.")
    failure.status = error.code or 500
    return refusal(failure, request.environ)
