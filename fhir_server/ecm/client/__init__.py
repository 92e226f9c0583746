"""Work of the command line that is done over HTTP, as any client of the exchange would do it."""
