"""The file exchange of the program: formats (bytes and rows) and layouts (rows and facts) meet in one Assignment."""
