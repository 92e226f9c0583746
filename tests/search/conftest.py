"""A running server for the search tests that speak HTTP, once on each database."""

from tests.served import organization, server_of_a_file

server = server_of_a_file()
clinic = organization("clinic")
stranger = organization("stranger")
