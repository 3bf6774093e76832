"""What a synchronization remembers from run to run: links that wait for an end, and resources that are missing.

They are declared like an integrator's entity types, so that the one comparison compares them, the one
load writes them in the transaction of the run, and history keeps them. Both rooms between the export and
the repository know them: preparation writes them, the repository stores them.

Keys: a waiting link is the SHA-256 of its association and of both values (values may be longer than an
index takes); a missing resource is ``<entity type>|<key>`` (no identifier holds a bar).
"""

from __future__ import annotations

from include.model.configuration import EntityType, Property

WAITING_LINK = EntityType(
    identifier="waiting_link",
    connection_table="-",
    properties=(
        Property(identifier="link", primary_key=True),
        Property(identifier="connector"),
        Property(identifier="association"),
        # The values of the ends' keys, as text: what the source says, not what it means.
        Property(identifier="value1"),
        Property(identifier="value2"),
        Property(identifier="reason"),
        # When the export began that first showed it without its end, and the run of that export.
        Property(identifier="since", type="datetime"),
        Property(identifier="run_id"),
    ),
)
MISSING_RESOURCE = EntityType(
    identifier="missing_resource",
    connection_table="-",
    properties=(
        Property(identifier="resource", primary_key=True),
        Property(identifier="connector"),
        Property(identifier="entity_type"),
        Property(identifier="key"),
        # The export that first lacked it, its run, and how many runs in a row have lacked it.
        Property(identifier="since", type="datetime"),
        Property(identifier="run_id"),
        Property(identifier="runs", type="int32"),
    ),
)
REMEMBERED = (WAITING_LINK, MISSING_RESOURCE)
