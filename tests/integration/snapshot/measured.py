"""A process of its own: prepare and compare a run, then print the peak of its memory in bytes.

``python -m tests.integration.snapshot.measured write|walk <rows> <folder>``
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from connectors.contract import TableReport
from include.model.configuration import Association, AssociationEnd, Configuration, EntityType, Property
from include.snapshot.compare import compare_snapshot
from include.snapshot.prepare import prepare
from include.storage.engine import engine, literal
from include.storage.folder import Folder
from tests.unit.snapshot.world import World, connector

PERSON = EntityType(
    identifier="Person",
    connection_table="people",
    properties=(
        Property(identifier="id", primary_key=True),
        Property(identifier="name"),
        Property(identifier="mail", unique_key=True),
        Property(identifier="since", type="datetime"),
    ),
)
MANAGER = Association(
    identifier="Manager",
    connection_table="people",
    end1=AssociationEnd(entity_type="Person", navigation="manager", column="id"),
    end2=AssociationEnd(entity_type="Person", navigation="reports", column="manager", collection=True),
)
NUMBERS = "SELECT printf('P%08d', n) AS id, printf('P%08d', n // 10) AS manager, * FROM range({rows}) AS r(n)"
PEOPLE = "id, 'Name ' || n AS name, printf('%s@example.org', lower(id)) AS mail"


def main() -> None:
    """``write`` makes the files of a run; ``walk`` prepares and compares them and says what came of it.

    Printed are the peak of the memory in bytes, the processor's seconds, and the rows updated, inserted and deleted.
    """
    what, rows, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    used = connector(PERSON, associations=(MANAGER,))
    if what == "write":
        _write(World.at(folder, used), rows)
        return
    begun = time.process_time()
    run, configuration = Folder(folder.as_uri()), Configuration(connectors=(used,))
    prepare(used, configuration, run)
    found = compare_snapshot(used, configuration, run).entity_types["Person"]
    seconds = time.process_time() - begun
    sys.stdout.write(f"{_peak()} {seconds} {found['updated']} {found['inserted']} {found['deleted']}\n")


def _write(world: World, rows: int) -> None:
    """Stored: all rows but the last hundredth. Exported: all but the first, every tenth changed; in no order."""
    few = rows // 100
    changed = PEOPLE.replace("'Name '", "if(n % 10 = 0, 'Other ', 'Name ')")
    with engine(world.folder) as duck:
        duck.execute(f"CREATE VIEW numbers AS {NUMBERS.format(rows=rows)}")
        base = world.folder.child("base")
        duck.execute(f"""
            COPY (SELECT n + 1 AS resource_id, {PEOPLE}, TIMESTAMP '2026-01-01' AS since FROM numbers
                  WHERE n < {rows - few} ORDER BY id)
            TO {literal(base.file("Person.parquet"))} (FORMAT parquet)
        """)
        duck.execute(f"""
            COPY (SELECT id AS key1, manager AS key2, n + 1 AS resource1_id, n // 10 + 1 AS resource2_id FROM numbers
                  WHERE n < {rows - few} ORDER BY id)
            TO {literal(base.file("Manager.parquet"))} (FORMAT parquet)
        """)
        world.folder.child("raw").make()
        duck.execute(f"""
            COPY (SELECT {changed}, '2026-01-01' AS since, manager FROM numbers
                  WHERE n >= {few} ORDER BY hash(n))
            TO {literal(world.folder.child("raw").file("people.csv"))} (FORMAT csv, HEADER, FORCE_QUOTE *)
        """)
    world.report(TableReport("people", rows - few, complete=True))


def _peak() -> int:
    """The most memory that this process ever had resident, in bytes; unlike ``getrusage``, without its parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


if __name__ == "__main__":
    main()
