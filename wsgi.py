"""The WSGI entry for production servers: `granian --interface wsgi wsgi:app`."""

from fhir_server.app import create_app

app = create_app()
