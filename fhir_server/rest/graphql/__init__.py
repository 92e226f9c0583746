"""FHIR GraphQL: a query's text, checked against R4's elements, then walked over what the caller may see.

https://hl7.org/fhir/R4/graphql.html
"""
