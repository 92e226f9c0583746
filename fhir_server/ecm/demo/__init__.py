"""The story of the exchange, played over HTTP: one file an act, each a function of the stage."""
