"""Rows of the audit trail are added and never changed or removed: the database itself refuses it."""

from alembic import op

revision = "0020"
down_revision = "0019"

# INSERT OR REPLACE removes a row without asking the trigger on DELETE.
_SQLITE = """
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed or removed'); END
--
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed or removed'); END
--
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE chain = NEW.chain AND seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed or removed'); END
"""
# ALWAYS: a session that calls itself a replica is asked as well.
_POSTGRESQL = """
CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'audit rows are never changed or removed' USING ERRCODE = 'insufficient_privilege'; END$$
--
CREATE TRIGGER audit_no_update BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_only_grows()
--
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()
--
ALTER TABLE audit ENABLE ALWAYS TRIGGER audit_no_update
--
ALTER TABLE audit ENABLE ALWAYS TRIGGER audit_no_truncate
"""


def upgrade() -> None:
    """Create the triggers."""
    statements = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    for statement in statements.split("--"):
        op.execute(statement)
