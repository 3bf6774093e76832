"""The repository's own tables: runs, loads, snapshots, cookies, the audit trail, migrations, counters.

``rollcall_audit``, ``rollcall_snapshot`` and ``rollcall_removed_snapshot`` are append-only: triggers refuse every
change of a row.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from include.repository.instants import Instant

LEDGER = sa.MetaData()

RUN = sa.Table(
    "rollcall_run",
    LEDGER,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("connector", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("requested_mode", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("counters", sa.Text, nullable=False),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("closed_at", Instant),
    sa.Index("ix_rollcall_run_opened", "connector", "opened_at"),
)
LOAD = sa.Table(
    "rollcall_load",
    LEDGER,
    sa.Column("load_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("load_key", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("connector", sa.Text, nullable=False),
    sa.Column("loaded_at", Instant, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("counters", sa.Text, nullable=False),
    sa.Index("ix_rollcall_load_key", "load_key", unique=True),
    sa.Index("ix_rollcall_load_connector", "connector", "load_id"),
    sa.Index("ix_rollcall_load_run", "run_id"),
)
SNAPSHOT = sa.Table(
    "rollcall_snapshot",
    LEDGER,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("connector", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("manifest", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("previous_sha256", sa.Text),
    sa.Column("published_at", Instant, nullable=False),
    sa.Index("ix_rollcall_snapshot_sequence", "connector", "sequence", unique=True),
)
REMOVED_SNAPSHOT = sa.Table(
    "rollcall_removed_snapshot",
    LEDGER,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("connector", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("removed_at", Instant, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("ix_rollcall_removed_snapshot_connector", "connector"),
)
HOLD = sa.Table(
    "rollcall_hold",
    LEDGER,
    sa.Column("hold_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("connector", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("placed_at", Instant, nullable=False),
    sa.Column("placed_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("until", Instant),
    sa.Column("released_at", Instant),
    sa.Column("released_by", sa.Text),
    sa.Column("release_reason", sa.Text),
)
COOKIE = sa.Table(
    "rollcall_cookie",
    LEDGER,
    sa.Column("connector", sa.Text, primary_key=True),
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("load_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("cookie", sa.Text, nullable=False),
)
AUDIT = sa.Table(
    "rollcall_audit",
    LEDGER,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("previous_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("ix_rollcall_audit_subject", "subject"),
)
MIGRATION = sa.Table(
    "rollcall_migration",
    LEDGER,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("applied_at", Instant, nullable=False),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("schema_sha256", sa.Text, nullable=False),
)
COUNTER = sa.Table(
    "rollcall_counter",
    LEDGER,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

COUNTERS = ("load", "resource", "run", "hold", "audit")
"""Each row gives numbers and is the lock of what it counts; they are taken in this order."""

APPEND_ONLY = (AUDIT, SNAPSHOT, REMOVED_SNAPSHOT)


def append_only_triggers(dialect: str) -> Iterator[str]:
    """The statements that make the append-only tables so; running them again changes nothing."""
    for table in APPEND_ONLY:
        if dialect == "sqlite":
            for event in ("UPDATE", "DELETE"):
                yield (
                    f"CREATE TRIGGER IF NOT EXISTS {table.name}_no_{event.lower()} BEFORE {event} ON {table.name} "
                    f"BEGIN SELECT RAISE(ABORT, '{table.name} is append-only'); END"
                )
        else:
            yield (
                f"CREATE OR REPLACE FUNCTION {table.name}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION '{table.name} is append-only'; END $$"
            )
            yield (
                f"CREATE OR REPLACE TRIGGER {table.name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
                f"ON {table.name} FOR EACH STATEMENT EXECUTE FUNCTION {table.name}_refuse()"
            )
