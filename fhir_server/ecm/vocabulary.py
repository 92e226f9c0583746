"""Systems, canonicals and codes of the program: the only place where they are written as literals.

The artifacts themselves are data: profiles/ecm and terminology/ecm.  https://www.hl7.org/fhir/R4/terminologies.html
"""

from typing import Final

BASE: Final = "https://ecm-exchange.org/fhir"


def profile(name: str) -> str:
    """The canonical URL of one of our profiles or extensions, by its id."""
    return f"{BASE}/StructureDefinition/{name}"


def code_system(name: str) -> str:
    """The URL of one of our code systems, by its id."""
    return f"{BASE}/CodeSystem/{name}"


def value_set(name: str) -> str:
    """The canonical URL of one of our value sets, by its id."""
    return f"{BASE}/ValueSet/{name}"


def concept_map(name: str) -> str:
    """The canonical URL of one of our concept maps, by its id."""
    return f"{BASE}/ConceptMap/{name}"


# ---- identifier systems
CIN: Final = f"{BASE}/sid/medi-cal-cin"
NEWBORN: Final = f"{BASE}/sid/newborn"  # mother's CIN, day of birth, first name: until there is a CIN
PLAN_CODE: Final = f"{BASE}/sid/medi-cal-plan-code"
CONTRACT: Final = f"{BASE}/sid/ecm-contract"
AUTHORIZATION_NUMBER: Final = f"{BASE}/sid/authorization-number"
NOTICE: Final = f"{BASE}/sid/notice"
RECEIPT: Final = f"{BASE}/sid/request-receipt"
FILE_HASH: Final = f"{BASE}/sid/file-sha256"
NPI: Final = "http://hl7.org/fhir/sid/us-npi"
TIN: Final = "urn:oid:2.16.840.1.113883.4.4"
SSN: Final = "http://hl7.org/fhir/sid/us-ssn"  # named only to be refused
IDENTIFIER_TYPE: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"


def member_id(organization_id: str) -> str:
    """The identifier system in which a plan numbers its members."""
    return f"{BASE}/sid/member-id/{organization_id}"


def medical_record(organization_id: str) -> str:
    """The identifier system in which a provider numbers its patients."""
    return f"{BASE}/sid/medical-record/{organization_id}"


# ---- profiles
PATIENT: Final = profile("ecm-patient")
COVERAGE: Final = profile("ecm-coverage")
GROUP: Final = profile("ecm-group")
CARE_PLAN: Final = profile("ecm-careplan")
CARE_TEAM: Final = profile("ecm-careteam")
GOAL: Final = profile("ecm-goal")
CONDITION: Final = profile("ecm-condition")
CONSENT: Final = profile("ecm-consent")
SERVICE_REQUEST: Final = profile("ecm-servicerequest")
TASK: Final = profile("ecm-task")
PROVENANCE: Final = profile("ecm-provenance")

# ---- extensions
POPULATION_OF_FOCUS: Final = profile("ecm-population-of-focus")
STATUS: Final = profile("ecm-status")
AUTHORIZATION: Final = profile("ecm-authorization")
ACUITY: Final = profile("ecm-acuity")
MEMBER_COUNTY: Final = profile("ecm-member-county")
DISCONTINUATION: Final = profile("ecm-discontinuation")
SAFE_CONTACT: Final = profile("ecm-safe-contact")
VERIFIED: Final = profile("ecm-verified")
HOMELESS: Final = profile("ecm-homeless")
MEDICARE_DUAL: Final = profile("ecm-medicare-dual")
RENEWAL_DATE: Final = profile("ecm-renewal-date")
REFERRAL_STATUS_DATE: Final = profile("ecm-referral-status-date")
PARALLEL_REFERRAL_REASON: Final = profile("ecm-parallel-referral-reason")
ANSWER_BY: Final = profile("ecm-answer-by")
REASSIGNMENT: Final = profile("ecm-reassignment")
REPORTED_ANSWER: Final = profile("ecm-reported-answer")
ENDS_WITH_ACCEPTANCE: Final = profile("ecm-ends-with-acceptance")
SENT_DESPITE: Final = profile("ecm-sent-despite")
PROOF_OF_SENDING: Final = profile("ecm-proof-of-sending")
DUE_BY: Final = profile("ecm-due-by")
SERVICE_COUNTY: Final = profile("ecm-service-county")
SERVICE_CAPACITY: Final = profile("ecm-service-capacity")
OUTREACH_SUCCESSFUL: Final = profile("ecm-outreach-successful")
SOURCE_ROW: Final = profile("ecm-source-row")
CONSENT_EXPIRATION: Final = profile("ecm-consent-expiration")

ATR: Final = "http://hl7.org/fhir/us/davinci-atr/StructureDefinition"
CHANGE_TYPE: Final = f"{ATR}/ext-changeType"
COVERAGE_REFERENCE: Final = f"{ATR}/ext-coverageReference"
ATTRIBUTED_PROVIDER: Final = f"{ATR}/ext-attributedProvider"
LIST_STATUS: Final = f"{ATR}/ext-attributionListStatus"
CONTRACT_PERIOD: Final = f"{ATR}/ext-contractValidityPeriod"

US_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition"
RACE: Final = f"{US_CORE}/us-core-race"
ETHNICITY: Final = f"{US_CORE}/us-core-ethnicity"
SEX: Final = f"{US_CORE}/us-core-sex"
DATA_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

# ---- our code systems
POPULATIONS: Final = code_system("ecm-population-of-focus")
REPORT_FLAGS: Final = code_system("ecm-report-flag")
POPULATIONS_2021: Final = code_system("ecm-population-of-focus-2021")
COMMUNITY_SUPPORTS: Final = code_system("ecm-community-support")
COMMUNITY_RESOURCES: Final = code_system("ecm-community-resource")
SERVICES: Final = code_system("ecm-service")
SERVICE_CATEGORIES: Final = code_system("ecm-service-category")
CARE_PLAN_CATEGORIES: Final = code_system("ecm-care-plan-category")
STATUSES: Final = code_system("ecm-status")
DISCONTINUATION_REASONS: Final = code_system("ecm-discontinuation-reason")
REFERRAL_STATUSES: Final = code_system("ecm-referral-status")
CLOSURE_REASONS: Final = code_system("ecm-referral-closure-reason")
REASSIGNMENT_REASONS: Final = code_system("ecm-reassignment-reason")
REPORT_CHANNELS: Final = code_system("ecm-report-channel")
STEPS: Final = code_system("ecm-step")
STEP_OUTCOMES: Final = code_system("ecm-step-outcome")
BASES: Final = code_system("ecm-assignment-basis")
NOTICES: Final = code_system("ecm-notice")
NOTICE_CHANNELS: Final = code_system("ecm-notice-channel")
AUTHORIZATION_DECISIONS: Final = code_system("ecm-authorization-decision")
CARE_TEAM_ROLES: Final = code_system("ecm-care-team-role")
OUTREACH_METHODS: Final = code_system("ecm-outreach-method")
ENCOUNTER_KINDS: Final = code_system("ecm-encounter-kind")
STAFF_KINDS: Final = code_system("ecm-staff-kind")
OVERLAP_PROGRAMS: Final = code_system("ecm-overlap-program")
SERVICE_CODES: Final = code_system("ecm-service-code")
COUNTIES: Final = code_system("ecm-county")
PROVIDER_KINDS: Final = code_system("ecm-provider-kind")
LANGUAGE_CODES: Final = code_system("ecm-language-code")
GROUP_CHARACTERISTICS: Final = code_system("ecm-group-characteristic")

# ---- other systems
GRAVITY: Final = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
HCPCS: Final = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
ICD10CM: Final = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED: Final = "http://snomed.info/sct"
US_CORE_CATEGORY: Final = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category"
CAREPLAN_CATEGORY: Final = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"
TASK_CODE: Final = "http://hl7.org/fhir/CodeSystem/task-code"
LANGUAGE: Final = "urn:ietf:bcp:47"
RACE_CODES: Final = "urn:oid:2.16.840.1.113883.6.238"
INLINE_LABEL: Final = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"
CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
NULL_FLAVOR: Final = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
AUTHOR_TYPE: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
TRANSMITTER_TYPE: Final = "http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type"
COVERAGE_CLASS: Final = "http://terminology.hl7.org/CodeSystem/coverage-class"
SUBSCRIBER_RELATIONSHIP: Final = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"
ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
DATA_OPERATION: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
ROLES: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
CONTACT_RELATIONSHIP: Final = "http://terminology.hl7.org/CodeSystem/v2-0131"
CONSENT_SCOPE: Final = "http://terminology.hl7.org/CodeSystem/consentscope"
PARTICIPATION_TYPE: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"

# ---- codes that rules name
LEAD_CARE_MANAGER: Final = "lead-care-manager"
PRIMARY_CARE_PROVIDER: Final = "primary-care-provider"
CARE_COORDINATOR: Final = "care-coordinator"
HEALTH_PLAN_CONTACT: Final = "health-plan-contact"
CONTRACTED_PROVIDER: Final = "contracted-provider"
LOOP_CLOSED: Final = "loop-closed"
SERVICES_RECEIVED: Final = "services-received"

# ---- what became of a row of a file, and why (the `code` column of the response file)
ACCEPTED: Final = "accepted"
ACCEPTED_WITH_WARNINGS: Final = "accepted-with-warnings"
PARKED: Final = "parked"
REJECTED: Final = "rejected"

MISSING: Final = "missing"
BAD_CIN: Final = "bad-cin"
BAD_NPI: Final = "bad-npi"
BAD_TIN: Final = "bad-tin"
BAD_DATE: Final = "bad-date"
BAD_PHONE: Final = "bad-phone"
BAD_ZIP: Final = "bad-zip"
BAD_EMAIL: Final = "bad-email"
BAD_CODE: Final = "bad-code"
BAD_YES_NO: Final = "bad-yes-no"
BAD_NUMBER: Final = "bad-number"
BAD_PERIOD: Final = "bad-period"
BAD_TEXT: Final = "bad-text"
END_BEFORE_START: Final = "end-before-start"
SHORT_ROW: Final = "short-row"
LONG_ROW: Final = "long-row"
MENDED: Final = "mended"
# The import job adds these, because they need the file as a whole or the store:
UNKNOWN_PROVIDER: Final = "unknown-provider"
DUPLICATE_MEMBER: Final = "duplicate-member"
DUPLICATE_IDENTIFIER: Final = "duplicate-identifier"
AMBIGUOUS_PROVIDER: Final = "ambiguous-provider"
AMBIGUOUS_IDENTITY: Final = "ambiguous-identity"
WRONG_PLAN: Final = "wrong-plan"
WRONG_PROVIDER: Final = "wrong-provider"
WRONG_TIN: Final = "wrong-tin"
OTHER_FILE_DATE: Final = "other-file-date"
CONFLICTING_ROWS: Final = "conflicting-rows"
CIN_CHANGED: Final = "cin-changed"
DECEASED: Final = "deceased"
POPULATION_AGE: Final = "population-age"
# The import of a return file adds these:
UNKNOWN_MEMBER: Final = "unknown-member"
NO_REFERRAL: Final = "no-referral"
REFERRAL_ENDED: Final = "referral-ended"
OLDER_STATUS: Final = "older-status"
UNFIT_STATUS: Final = "unfit-status"
