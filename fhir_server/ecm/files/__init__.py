"""The file exchange of the program: formats, layouts, a plan's assignments, a provider's returns."""
