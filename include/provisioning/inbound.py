"""Orders that the identity repository itself carries out: its own resources and links change (engine.md 3.8, 4).

The orders of a run that its transmission has put on record become changes of their target entity types and
associations, and results, in one folder for one load: either all of it is there afterwards, or nothing. An
order that cannot be carried out is refused with one line, and keeps no other one back, except those that need it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.difference.compare import compare
from include.expressions.paths import EntityGraph, Link
from include.model.configuration import Association, Configuration, Connector, EntityType
from include.policy.states import ProvisioningState
from include.provisioning.changes import asked_changes, asked_links, base_relation, write_changes
from include.provisioning.mapping import entity_type
from include.provisioning.plan import read_generation
from include.provisioning.refusals import refuse
from include.provisioning.settlement import read_results, settle
from include.provisioning.wanted import Target, wanted_table
from include.storage.engine import engine, literal, name
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

INBOUND = "inbound"
"""What is handed over in place of batches: all orders of the run go into one load."""


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """The changes to load, and how many orders they carry out and refuse."""

    changes: Folder
    executed: int
    errored: int


def held_entity_types(configuration: Configuration, connector: Connector) -> list[EntityType]:
    """What ``base/`` must hold for ``fulfil_in_repository``, beside assignments and orders."""
    graph = EntityGraph.of(configuration)
    linked = [link.entity_type for target in _targets(graph, connector) for link in target.links.values()]
    wanted = dict.fromkeys([*(item.identifier for item in connector.entity_types), *linked])
    return [entity_type(configuration, item) for item in wanted]


def fulfil_in_repository(
    configuration: Configuration, connector: Connector, run: Folder, *, finished_at: datetime
) -> Fulfilment:
    """Write to ``changes/inbound/`` what the transmitted orders of a run make of the repository.

    Reads ``base/`` as it stands after the transmission was loaded: the connector's entity types and associations,
    the entity types that these lead to, assignments and orders. The folder holds the changes of all of them that
    change, in the form of the one difference. Orders become Executed at ``finished_at``, or Errored with a class:

    * ``InvalidValue``: a value is none of its property's type, too long, or not allowed; the key is empty or changes.
    * ``ObjectMissing``: the resource, or one that a link leads to, is not there any more.
    * ``ObjectExists``, ``Conflict``: the key, or the value of a unique key, is another's; a link is one too many.
    * ``NotFulfilled``: the order for what this one depends on was refused.

    Of several orders that want the same none is picked. A deletion of what is gone is executed. A resource that is
    created under a former key gets its former resource id when it is loaded, with the links of its order only.

    Args:
        configuration: all connectors, for what links lead to.
        connector: an inbound connector (``Connector.is_inbound``).
        run: the run's folder.
        finished_at: the instant, in UTC, before the load.

    Raises:
        PlanError: nothing was generated.
    """
    generation, folder = read_generation(run), run.child("changes", INBOUND)
    targets = _targets(EntityGraph.of(configuration), connector)
    with engine(run) as connection:
        connection.execute(_ordered(run, generation.run_id, connector))
        asked = f"({asked_changes('ordered')})"
        connection.execute(f"CREATE TABLE ordered_link AS {asked_links(asked)}")
        for target in targets:
            connection.execute(f"CREATE VIEW {target.current} AS SELECT * FROM {base_relation(run, target.identifier)}")
            connection.execute(wanted_table(target))
        refuse(connection, run, targets, connector.resource_types)
        folder.make()
        for target in targets:
            _write_resources(connection, target, folder)
        for association in connector.associations:
            _write_links(connection, run, targets, association, folder)
        read_results(connection, run, ())
        instant = finished_at.astimezone(UTC).replace(tzinfo=None).isoformat()
        for target in targets:
            connection.execute(_result(target), {"finished_at": instant})
        settle(connection, run, generation, instant)
        write_changes(connection, run, folder)
        counted = dict(connection.execute("SELECT state, count(*) FROM result GROUP BY state").fetchall())
    return Fulfilment(folder, counted.get("executed", 0), counted.get("errored", 0))


def _targets(graph: EntityGraph, connector: Connector) -> list[Target]:
    """The connector's entity types that orders write, each with the resource types that do."""
    writing: dict[str, list[str]] = {}
    for item in connector.resource_types:
        writing.setdefault(item.target_entity_type, []).append(item.identifier)
    held = {item.identifier for item in connector.associations}
    return [
        Target(
            position,
            graph.entity_types[identifier],
            tuple(resource_types),
            links := {key: link for key, link in graph.links[identifier].items() if link.association in held},
            {link.entity_type: graph.entity_types[link.entity_type].primary_key.identifier for link in links.values()},
        )
        for position, (identifier, resource_types) in enumerate(writing.items())
    ]


def _ordered(run: Folder, run_id: str, connector: Connector) -> str:
    """SQL that creates ``ordered``: what the repository has on record as handed over by this run."""
    return f"""
        CREATE TABLE ordered AS
        SELECT o.order_id, o.assignment, o.resource_type, o.change_type, o.changes::JSON AS changes,
            coalesce(json_keys(o.changes), []) AS names, a.owner_id,
            CASE WHEN o.change_type <> 'Added' THEN a.target_id END AS target_id,
            CASE WHEN o.change_type <> 'Added' THEN coalesce(a.target_key, o.target_key) END AS target_key
        FROM {base_relation(run, "provisioning_order")} AS o
        JOIN {base_relation(run, "assigned_resource_type")} AS a USING (assignment)
        WHERE o.run_id = {literal(run_id)} AND o.connector = {literal(connector.identifier)}
            AND o.provisioning_state = {ProvisioningState.TRANSMITTED:d}
    """


def _write_resources(connection: duckdb.DuckDBPyConnection, target: Target, folder: Folder) -> None:
    """Compare the resources that orders touch with what they are to be; all others stay as they are."""
    columns = [item.identifier for item in target.entity_type.properties]
    fields = ", ".join(name(column) for column in columns)
    compare(
        connection,
        f"(SELECT {fields} FROM {target.current} SEMI JOIN {target.standing} AS s USING (resource_id))",
        f"(SELECT {fields} FROM {target.standing} WHERE change_type <> 'Deleted')",
        key=target.key,
        columns=columns,
        output=folder.file(f"{target.identifier}.parquet"),
    )


def _write_links(
    connection: duckdb.DuckDBPyConnection, run: Folder, targets: list[Target], association: Association, folder: Folder
) -> None:
    """Write the links of one association that orders add and remove; the load leaves those that are there already."""
    parts = [
        part
        for target in targets
        for navigation, link in target.links.items()
        if link.association == association.identifier
        for part in (_asked_pairs(run, target, navigation, link), _pairs_of_reborn(run, target, link))
    ]
    pairs = " UNION BY NAME ".join(parts) or "SELECT NULL AS command, NULL AS key1, NULL AS key2 WHERE false"
    connection.execute(f"""
        COPY (
            WITH pair AS ({pairs})
            SELECT command, key1, key2 FROM pair WHERE command = 'insert'
            UNION ALL
            SELECT command, key1, key2 FROM (SELECT * FROM pair WHERE command = 'delete') AS gone
            ANTI JOIN (SELECT * FROM pair WHERE command = 'insert') AS come USING (key1, key2)
            ORDER BY ALL
        ) TO {literal(folder.file(f"{association.identifier}.parquet"))} (FORMAT parquet)
    """)


def _asked_pairs(run: Folder, target: Target, navigation: str, link: Link) -> str:
    own, other = _key_columns(link)
    return f"""
        SELECT CASE WHEN l.adds THEN 'insert' ELSE 'delete' END AS command,
            CAST(s.{name(target.key)} AS VARCHAR) AS {own}, {_linked_key(target, link)} AS {other}
        FROM ordered_link AS l JOIN {target.standing} AS s USING (order_id)
        JOIN {base_relation(run, link.entity_type)} AS linked ON linked.resource_id = l.linked_id
        WHERE l.navigation = {literal(navigation)}
    """


def _pairs_of_reborn(run: Folder, target: Target, link: Link) -> str:
    """The links of resources that one order deletes, and another one creates again under the same key."""
    own, other = _key_columns(link)
    return f"""
        SELECT 'delete' AS command, gone.current_key AS {own}, {_linked_key(target, link)} AS {other}
        FROM {target.standing} AS gone
        JOIN {target.standing} AS come
            ON come.change_type = 'Added' AND CAST(come.{name(target.key)} AS VARCHAR) = gone.current_key
        JOIN {base_relation(run, link.association)} AS pair ON pair.{link.from_column} = gone.resource_id
        JOIN {base_relation(run, link.entity_type)} AS linked ON linked.resource_id = pair.{link.to_column}
        WHERE gone.change_type = 'Deleted'
    """


def _key_columns(link: Link) -> tuple[str, str]:
    """The columns of the keys of this side and of the other one."""
    return ("key1", "key2") if link.from_column == "resource1_id" else ("key2", "key1")


def _linked_key(target: Target, link: Link) -> str:
    return f"CAST(linked.{name(target.linked_keys[link.entity_type])} AS VARCHAR)"


def _result(target: Target) -> str:
    return f"""
        INSERT INTO result BY NAME
        SELECT w.order_id, CASE WHEN r.order_id IS NULL THEN 'executed' ELSE 'errored' END AS state,
            CASE WHEN w.change_type = 'Added' AND r.order_id IS NULL THEN CAST(w.{name(target.key)} AS VARCHAR)
                 ELSE coalesce(w.current_key, w.target_key) END AS key,
            r.error_class, r.message, $finished_at AS finished_at
        FROM {target.wanted} AS w LEFT JOIN refused AS r USING (order_id)
    """
