"""The ways to get a token: each file exports one GRANT, and the folder is the registry.

https://www.rfc-editor.org/rfc/rfc6749#section-1.3
"""
