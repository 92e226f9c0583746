"""A synthetic world for the exchange: data lists and one seeded generator (`python -m seed.generate --help`)."""
