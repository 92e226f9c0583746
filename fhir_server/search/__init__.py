"""Search: what a resource can be found by, what a question asks, and the statement that answers it.

https://hl7.org/fhir/R4/search.html
"""
