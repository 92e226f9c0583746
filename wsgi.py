"""The WSGI entry for production servers: `granian --interface wsgi wsgi:app`."""

import gc

from fhir_server.app import create_app

app = create_app()

# Definitions, schemas and code stay for good: the collector need not walk them again and again (an import is a tenth
# faster), and what requests leave is mostly freed without it.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)
