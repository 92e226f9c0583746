"""The first schema: resources, posting lists, access, roster members, audit, jobs, clients."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table of the first schema."""

    op.create_table(
        "access",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("org", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("mask", sa.BigInteger(), nullable=False),
        sa.Column("from", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("patient", "org", "purpose", "from", "part", "tenant"),
        sqlite_with_rowid=False,
    )
    op.create_index("access_org", "access", ["org", "purpose", "patient"], unique=False)
    op.create_table(
        "assertion",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("client", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("jti", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client", "jti"),
    )
    op.create_index("assertion_expires", "assertion", ["expires"], unique=False)
    op.create_table(
        "audit",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("chain", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("interaction", sa.Text(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("org", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("entities", sa.LargeBinary(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index("audit_at", "audit", ["at"], unique=False)
    op.create_table(
        "client",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("law_class", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("purposes", sa.Text(), nullable=False),
        sa.Column("rights", sa.Text(), nullable=False),
        sa.Column("jwks", sa.LargeBinary(), nullable=False),
        sa.Column("jwks_uri", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "dat",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("param", "lo", "hi", "rid", "part", "tenant"),
        sqlite_with_rowid=False,
    )
    op.create_index("dat_rid", "dat", ["rid", "param"], unique=False)
    op.create_table(
        "directive",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("classes", sa.BigInteger(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("from", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("consent", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("patient", "consent", "ordinal", "part", "tenant"),
        sqlite_with_rowid=False,
    )
    op.create_index("directive_consent", "directive", ["consent"], unique=False)
    op.create_table(
        "file",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("piece", sa.Integer(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("job", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", "piece"),
    )
    op.create_index("file_job", "file", ["job"], unique=False)
    op.create_table(
        "hist",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("fid", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("view", sa.SmallInteger(), nullable=False),
        sa.Column("rh", sa.BigInteger(), nullable=False),
        sa.Column("ver", sa.Integer(), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=True),
        sa.Column("labels", sa.BigInteger(), nullable=False),
        sa.Column("gen", sa.SmallInteger(), nullable=False),
        sa.Column("enc", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("rid", "ver", "part"),
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "client", "key"),
    )
    op.create_table(
        "job",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("lease_by", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("caller", sa.LargeBinary(), nullable=False),
        sa.Column("arguments", sa.LargeBinary(), nullable=False),
        sa.Column("cursor", sa.LargeBinary(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("job_due", "job", ["state", "lease_until"], unique=False)
    op.create_table(
        "keys",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("key", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("fid", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "owner", "type", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("keys_rid", "keys", ["rid"], unique=False)
    op.create_table(
        "member",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("grp", sa.BigInteger(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("patient_fid", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("coverage_fid", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("team_fid", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("provider_fid", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=False),
        sa.Column("to_version", sa.Integer(), nullable=False),
        sa.Column("begins", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.Column("row_hash", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("grp", "key", "from_version", "part", "tenant"),
    )
    op.create_index("member_patient", "member", ["patient", "grp"], unique=False)
    op.create_index("member_version", "member", ["grp", "from_version", "to_version"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("ver", sa.Integer(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("fid", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("interaction", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rid", "ver", "part", "tenant"),
    )
    op.create_index("outbox_at", "outbox", ["at"], unique=False)
    op.create_table(
        "param",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("param_code", "param", ["type", "code"], unique=True)
    op.create_table(
        "ref",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("tgt", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("param", "tgt", "rid", "part", "tenant"),
        sqlite_with_rowid=False,
    )
    op.create_index("ref_rid", "ref", ["rid", "param"], unique=False)
    op.create_table(
        "rel",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("org", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("from", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("patient", "org", "kind", "source", "from", "part", "tenant"),
        sqlite_with_rowid=False,
    )
    op.create_index("rel_source", "rel", ["source"], unique=False)
    op.create_table(
        "res",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("fid", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("view", sa.SmallInteger(), nullable=False),
        sa.Column("rh", sa.BigInteger(), nullable=False),
        sa.Column("ver", sa.Integer(), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=True),
        sa.Column("labels", sa.BigInteger(), nullable=False),
        sa.Column("gen", sa.SmallInteger(), nullable=False),
        sa.Column("enc", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("rid", "part"),
    )
    op.create_index("res_created", "res", ["type", "rid"], unique=False)
    op.create_index("res_hash", "res", ["rh"], unique=False)
    op.create_index("res_identity", "res", ["tenant", "type", "fid", "view", "part"], unique=True)
    op.create_index("res_newest", "res", ["type", "ts", "rid"], unique=False)
    op.create_index("res_owner", "res", ["owner", "type", "rid"], unique=False)
    op.create_index("res_patient", "res", ["patient", "type", "rid"], unique=False)
    op.create_table(
        "setting",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "share",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("org", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("view", sa.SmallInteger(), nullable=False),
        sa.Column("mask", sa.BigInteger(), nullable=False),
        sa.Column("from", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("target", "org", "view", "source", "part", "tenant"),
        sqlite_with_rowid=False,
    )
    op.create_index("share_org", "share", ["org", "target"], unique=False)
    op.create_index("share_source", "share", ["source"], unique=False)
    op.create_table(
        "str",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("norm", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("raw", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("param", "norm", "rid", "raw", "part", "tenant"),
        sqlite_with_rowid=False,
    )
    op.create_index("str_rid", "str", ["rid", "param"], unique=False)
    op.create_table(
        "tok",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("val", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("sys", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("param", "val", "rid", "sys", "part", "tenant"),
        sqlite_with_rowid=False,
    )
    op.create_index("tok_rid", "tok", ["rid", "param"], unique=False)
    op.create_table(
        "token",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("client", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("issued", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("token_expires", "token", ["expires"], unique=False)
    op.create_table(
        "uri",
        sa.Column("tenant", sa.SmallInteger(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("val", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("param", "val", "rid", "part", "tenant"),
        sqlite_with_rowid=False,
    )
    op.create_index("uri_rid", "uri", ["rid", "param"], unique=False)
    # ### end Alembic commands ###
