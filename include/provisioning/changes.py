"""What provisioning changes of the assignments and orders in the repository, in the changes format."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from include.difference.compare import Counts, compare
from include.policy.states import ProvisioningState
from include.repository.system import PROVISIONING_ENTITY_TYPES
from include.storage.engine import literal
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

SUMMARY_FILE = "changes.json"


def base_relation(run: Folder, entity: str) -> str:
    """The current rows of an entity type, as SQL."""
    return f"read_parquet({literal(run.child('base').file(f'{entity}.parquet'))})"


def write_changes(connection: duckdb.DuckDBPyConnection, run: Folder, folder: Folder) -> dict[str, Counts]:
    """Compare the tables of the connection that bear the names of system entity types with ``base/``.

    The tables hold only the rows that provisioning has something to say about: all others stay as they
    are, so nothing is deleted or withheld. ``changes.json`` is written last.
    """
    folder.make()
    folder.remove(SUMMARY_FILE)
    counted = dict[str, Counts]()
    for entity in PROVISIONING_ENTITY_TYPES:
        counted[entity.identifier] = compare(
            connection,
            base_relation(run, entity.identifier),
            entity.identifier,
            key=entity.primary_key.identifier,
            columns=[item.identifier for item in entity.properties],
            output=folder.file(f"{entity.identifier}.parquet"),
            deletions=False,
        )
    folder.write_json(SUMMARY_FILE, _summary(run, folder, counted))
    return counted


def _summary(run: Folder, folder: Folder, counted: Mapping[str, Counts]) -> dict[str, object]:
    digest = hashlib.sha256()
    for entity in sorted(counted):
        digest.update(f"{entity}.parquet {folder.sha256(f'{entity}.parquet')}\n".encode())
    return {
        "base_load": run.child("base").read_json("base.json")["load_id"],
        "entity_types": {
            entity: asdict(counts) | {"withheld": 0, "complete": False} for entity, counts in counted.items()
        },
        "associations": {},
        "sha256": digest.hexdigest(),
    }


def create_parts(connection: duckdb.DuckDBPyConnection, run: Folder, moving: Sequence[ProvisioningState]) -> None:
    """From a table ``asking`` of orders, the tables ``asked_scalar`` and ``asked_link`` of what they ask for.

    ``stored_type``, ``stored_scalar`` and ``stored_link`` become the assignments in ``base/``. A creation leaves
    NULL values out of its changes; they go along with it when their state is one of ``moving``.
    """
    for view, entity in (
        ("stored_type", "assigned_resource_type"),
        ("stored_scalar", "assigned_resource_scalar"),
        ("stored_link", "assigned_resource_navigation"),
    ):
        connection.execute(f"CREATE VIEW {view} AS SELECT * FROM {base_relation(run, entity)}")
    connection.execute(f"CREATE TABLE asked AS {asked_changes('asking')}")
    connection.execute(_ASKED_SCALAR.format(moving=", ".join(str(int(state)) for state in moving)))
    connection.execute(f"CREATE TABLE asked_link AS {asked_links('asked')}")


def asked_changes(orders: str) -> str:
    """SQL: what the orders of a relation ask for, one row for each name in their changes."""
    return f"""
        SELECT order_id, assignment, name, json_extract(changes, '/' || name) AS value
        FROM (
            SELECT order_id, assignment, changes, unnest(json_keys(changes)) AS name
            FROM {orders} WHERE changes IS NOT NULL
        )
    """


def asked_links(asked: str) -> str:
    """SQL: the links among what a relation of ``asked_changes`` holds, one row for each."""
    return f"""
        SELECT order_id, assignment, regexp_replace(name, '_(add|remove)$', '') AS navigation,
            ends_with(name, '_add') AS adds,
            CAST(unnest(json_extract_string(value, '$[*].Id')) AS BIGINT) AS linked_id
        FROM {asked} WHERE json_type(value) = 'ARRAY'
    """


_ASKED_SCALAR = """
    CREATE TABLE asked_scalar AS
    SELECT order_id, assignment, name AS property, true AS is_written FROM asked WHERE json_type(value) <> 'ARRAY'
    UNION ALL
    SELECT o.order_id, o.assignment, s.property, false
    FROM asking AS o JOIN stored_scalar AS s ON s.assignment = o.assignment
    WHERE o.change_type = 'Added' AND s.policy_value IS NULL AND s.provisioning_state IN ({moving})
"""
