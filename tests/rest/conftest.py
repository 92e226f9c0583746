"""A running server for the tests of one file, once on each database, with two organizations' clients."""

from tests.served import organization, server_of_a_file

server = server_of_a_file()
clinic = organization("clinic", rights="assign")
stranger = organization("stranger")
loader = organization("loader", rights="update-create")  # chooses ids
registrar = organization("registrar", law_class="operator", rights="update-create")  # enters organizations
