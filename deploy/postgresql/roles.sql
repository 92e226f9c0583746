-- The role that serves adds to the audit trail and reads it, and nothing else: it owns every table but that one.
-- Run it as a superuser in the database of the exchange, after every `ecm-fhir db migrate`; see deploy/README.md.

DO $roles$
DECLARE
  one record;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ecm_audit') THEN
    CREATE ROLE ecm_audit NOLOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ecm_exchange') THEN
    CREATE ROLE ecm_exchange LOGIN;
  END IF;
  FOR one IN SELECT oid::regclass AS name FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'audit' LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO ecm_exchange', one.name);
  END LOOP;
END
$roles$;

ALTER TABLE audit OWNER TO ecm_audit;
ALTER FUNCTION audit_only_grows() OWNER TO ecm_audit;
REVOKE ALL ON audit FROM PUBLIC, ecm_exchange;
GRANT SELECT, INSERT ON audit TO ecm_exchange;
REVOKE CREATE ON SCHEMA public FROM PUBLIC, ecm_exchange;
GRANT USAGE ON SCHEMA public TO ecm_exchange;
