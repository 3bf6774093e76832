"""The difference of two snapshots: applied to the first it gives the second."""

from __future__ import annotations

import base64
import csv
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.difference.compare import Counts
from include.model.configuration import Association, EntityType, Property
from include.snapshot import manifest
from include.snapshot.between import SnapshotState, compare_states, write_values
from include.snapshot.errors import SnapshotError
from include.snapshot.previous import PublishedSnapshot
from include.storage.engine import engine, literal, name
from include.storage.folder import Folder
from tests.unit.snapshot.world import end

THING = EntityType(
    identifier="Thing",
    connection_table="things",
    properties=(
        Property(identifier="id", type="int32", primary_key=True),
        Property(identifier="label"),
        Property(identifier="photo", type="binary"),
    ),
)
NEXT = Association(
    identifier="Next", connection_table="things", end1=end("Thing", "id"), end2=end("Thing", "next", collection=True)
)
KINDS = {"id": "INTEGER", "label": "VARCHAR", "photo": "BLOB", "key1": "VARCHAR", "key2": "VARCHAR"}

Rows = dict[int, tuple[str | None, bytes | None]]
Pairs = frozenset[tuple[str, str]]
rows = st.dictionaries(
    st.integers(0, 9), st.tuples(st.sampled_from((None, "", "a", 'A "b",\n')), st.sampled_from((None, b"", b"\0\xff")))
)
pairs = st.frozensets(st.tuples(st.sampled_from("ab"), st.sampled_from("abc")))
moments = st.tuples(rows, pairs)


def write(folder: Folder, file: str, columns: tuple[str, ...], values: list[tuple[Any, ...]]) -> None:
    folder.make()
    with engine(folder) as duck:
        duck.execute(f"CREATE TABLE t ({', '.join(f'{name(column)} {KINDS[column]}' for column in columns)})")
        if values:
            duck.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(columns))})", values)
        duck.execute(f"COPY (SELECT * FROM t ORDER BY ALL) TO {literal(folder.file(file))} (FORMAT parquet)")


def published(
    folder: Folder, base: tuple[Rows, Pairs], then: tuple[Rows, Pairs], *, deletions: bool = True
) -> PublishedSnapshot:
    """A snapshot whose run found ``base`` and loaded the changes that lead to ``then``."""
    for place, (things, links) in ((folder.child("base"), base), (folder.child("then"), then)):
        write(place, "Thing.parquet", ("id", "label", "photo"), [(key, *value) for key, value in things.items()])
        write(place, "Next.parquet", ("key1", "key2"), list(links))
    with engine(folder) as duck:
        before, after = PlainState(folder.child("base")), PlainState(folder.child("then"))
        compare_states(duck, before, after, [THING, NEXT], folder.child("changes"))
    folder.filesystem.rm(folder.child("then").path, recursive=True)
    files = [
        {"path": path, "size": size, "sha256": folder.sha256(path)} for path, size in sorted(folder.sizes().items())
    ]
    text = manifest.canonical({"files": files, "facts": {"deletions_applied": deletions}})
    return PublishedSnapshot(folder, folder.path, text)


class PlainState:
    """The rows of a folder's files."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def relation(self, _connection: Any, item: Any) -> str:
        return f"read_parquet({literal(self.folder.file(f'{item.identifier}.parquet'))})"


def difference(
    first: PublishedSnapshot, second: PublishedSnapshot, output: Folder, items: Any = (THING, NEXT)
) -> dict[str, Counts]:
    with engine(first.folder, second.folder, output) as duck:
        return compare_states(duck, SnapshotState(first), SnapshotState(second), items, output)


def applied(things: Rows, links: Pairs, output: Folder) -> tuple[Rows, Pairs]:
    """A state with a difference carried out, row by row, in Python."""
    things, pairs = dict(things), set(links)
    with engine(output) as duck:
        files = [literal(output.file(f"{item}.parquet")) for item in ("Thing", "Next")]
        for command, key, old, new in duck.execute(
            f"SELECT command, key, old, new FROM read_parquet({files[0]})"
        ).fetchall():
            assert (things.pop(int(key), None) is None) == (command == "insert") == (old is None)
            if command != "delete":
                things[new["id"]] = (new["label"], new["photo"])
        for command, *pair in duck.execute(f"SELECT command, key1, key2 FROM read_parquet({files[1]})").fetchall():
            (pairs.add if command == "insert" else pairs.remove)(tuple(pair))
    return things, frozenset(pairs)


@settings(max_examples=25, deadline=None)
@given(base1=moments, then1=moments, base2=moments, then2=moments, kept=st.booleans())
def test_the_difference_of_two_snapshots_applied_to_the_first_gives_the_second(
    base1: tuple[Rows, Pairs],
    then1: tuple[Rows, Pairs],
    base2: tuple[Rows, Pairs],
    then2: tuple[Rows, Pairs],
    kept: bool,
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        place = Folder(Path(temporary).as_uri())
        first = published(place.child("first"), base1, then1, deletions=not kept)
        second = published(place.child("second"), base2, then2)
        # Where the deletions of its run were withheld, what they name is still there.
        before = ({**base1[0], **then1[0]}, base1[1] | then1[1]) if kept else then1
        difference(first, second, place.child("output"))
        assert applied(*before, place.child("output")) == then2


def test_a_snapshot_does_not_differ_from_itself(tmp_path: Path) -> None:
    state: tuple[Rows, Pairs] = ({1: ("a", b"x"), 2: (None, None)}, frozenset({("1", "2")}))
    snapshot = published(Folder((tmp_path / "run").as_uri()), ({}, frozenset()), state)
    counts = difference(snapshot, snapshot, Folder((tmp_path / "output").as_uri()))
    assert counts == {"Thing": Counts(2, 0, 0, 0, 0), "Next": Counts(1, 0, 0, 0, 0)}


@pytest.fixture
def two(tmp_path: Path) -> tuple[PublishedSnapshot, PublishedSnapshot]:
    """One thing changed, one came, one went; one link went."""
    nothing: tuple[Rows, Pairs] = ({}, frozenset())
    first = published(
        Folder((tmp_path / "1").as_uri()), nothing, ({1: ("a", b"x"), 2: (None, None)}, frozenset({("1", "2")}))
    )
    second = published(Folder((tmp_path / "2").as_uri()), nothing, ({1: ("b", b"x"), 3: ("c", b"y")}, frozenset()))
    return first, second


def test_every_changed_value_is_a_line_of_the_csv_file(
    two: tuple[PublishedSnapshot, PublishedSnapshot], tmp_path: Path
) -> None:
    output, target = Folder((tmp_path / "output").as_uri()), tmp_path / "values.csv"
    difference(*two, output)
    with engine(output) as duck:
        assert write_values(duck, output, [THING, NEXT], target) == 6
    with target.open(newline="") as stream:
        lines = [tuple(line.values()) for line in csv.DictReader(stream)]
    assert lines == [
        ("Thing", "update", "1", "", "label", "a", "b"),
        ("Thing", "delete", "2", "", "id", "2", ""),
        ("Thing", "insert", "3", "", "id", "", "3"),
        ("Thing", "insert", "3", "", "label", "", "c"),
        ("Thing", "insert", "3", "", "photo", "", base64.b64encode(b"y").decode()),
        ("Next", "delete", "1", "2", "", "", ""),
    ]
    assert sorted(tmp_path.glob("values.csv*")) == [target]


def test_a_csv_file_in_no_folder_is_one_clear_line(
    two: tuple[PublishedSnapshot, PublishedSnapshot], tmp_path: Path
) -> None:
    output = Folder((tmp_path / "output").as_uri())
    difference(*two, output)
    with engine(output) as duck, pytest.raises(NotADirectoryError, match="nowhere does not exist"):
        write_values(duck, output, [THING, NEXT], tmp_path / "nowhere" / "values.csv")


def test_a_file_that_is_not_the_published_one_is_never_compared(
    two: tuple[PublishedSnapshot, PublishedSnapshot], tmp_path: Path
) -> None:
    first, second = two
    path = Path(first.folder.file("base/Thing.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(SnapshotError, match="is not the file that was published"):
        difference(first, second, Folder((tmp_path / "output").as_uri()))


def test_a_property_and_a_table_that_came_later_are_new_not_an_error(
    two: tuple[PublishedSnapshot, PublishedSnapshot], tmp_path: Path
) -> None:
    wider = THING.model_copy(update={"properties": (*THING.properties, Property(identifier="size", type="int64"))})
    later = THING.model_copy(update={"identifier": "Later"})
    counts = difference(*two, Folder((tmp_path / "output").as_uri()), [wider, later])
    assert counts == {"Thing": Counts(stored=2, inserted=1, updated=1, deleted=1, withheld=0)}
