"""The authorization server: SMART Backend Services.  https://hl7.org/fhir/smart-app-launch/backend-services.html"""
