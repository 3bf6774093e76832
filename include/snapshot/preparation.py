"""What was made of each table: the counters of one preparation, and how they are kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from include.storage.folder import Folder

FILE = "preparation.json"


@dataclass(frozen=True, slots=True)
class EntityCounts:
    """Lines of one entity type: ``exported = clean + null_keys + duplicates + rejected + filtered``.

    ``filtered`` lines were left out by a ``WhereValue`` of the connection: they are absent on purpose.

    ``duplicates`` holds ``repeated`` lines (equal to one that is kept, or superseded by a later command)
    and lines of one key that contradict each other. ``unreadable_keys`` counts rejected lines whose key
    itself is no value: nobody knows which stored row they are, so nothing is deleted. ``missing`` counts
    stored rows that the extracts lack and that are kept for now (``on_missing``). ``reason`` says why a
    table is not complete.
    """

    exported: int = 0
    clean: int = 0
    null_keys: int = 0
    duplicates: int = 0
    rejected: int = 0
    filtered: int = 0
    complete: bool = False
    command: bool = False
    repeated: int = 0
    unreadable_keys: int = 0
    stored: int = 0
    missing: int = 0
    reason: str | None = None

    @property
    def deletions(self) -> bool:
        """Whether what is missing may be deleted."""
        return self.complete and not self.unreadable_keys


@dataclass(frozen=True, slots=True)
class AssociationCounts:
    """Lines of one association that hold a link and that no ``WhereValue`` left out.

    A pair may stand on several lines.

    ``unreadable_keys`` counts lines of which an end is no value: nobody knows whose links they are.
    ``waiting`` counts the pairs that wait for an end once the run is loaded.
    """

    exported: int = 0
    clean: int = 0
    rejected: int = 0
    complete: bool = False
    command: bool = False
    stored: int = 0
    unreadable_keys: int = 0
    waiting: int = 0
    reason: str | None = None

    @property
    def deletions(self) -> bool:
        """Whether what is missing may be deleted."""
        return self.complete and not self.unreadable_keys


@dataclass(frozen=True, slots=True)
class Preparation:
    """The counters of every entity type and association of a connector."""

    entity_types: dict[str, EntityCounts] = field(default_factory=dict)
    associations: dict[str, AssociationCounts] = field(default_factory=dict)

    def counts(self, identifier: str) -> EntityCounts | AssociationCounts:
        """The counters of an entity type or association."""
        return self.entity_types.get(identifier) or self.associations[identifier]

    def write(self, run: Folder) -> None:
        """Keep it as ``clean/preparation.json``: that file says that the clean files are whole."""
        run.child("clean").write_json(FILE, asdict(self))

    @classmethod
    def read(cls, run: Folder) -> Preparation:
        """The preparation of a run."""
        value = run.child("clean").read_json(FILE)
        return cls(
            {key: EntityCounts(**counts) for key, counts in value["entity_types"].items()},
            {key: AssociationCounts(**counts) for key, counts in value["associations"].items()},
        )
