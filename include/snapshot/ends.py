"""The two ends of an association: their entity types, and the keys that the association's columns hold."""

from __future__ import annotations

from dataclasses import dataclass

from include.model.configuration import Association, AssociationEnd, Configuration, EntityType, Property
from include.snapshot.errors import PreparationError
from include.storage.engine import name


@dataclass(frozen=True, slots=True)
class End:
    """One end with its entity type and the key that its column holds. ``number`` is 1 or 2."""

    number: int
    end: AssociationEnd
    entity_type: EntityType
    key: Property


@dataclass(frozen=True, slots=True)
class Ends:
    """An association and its two ends; ``owner`` is the end whose entity type has the same lines."""

    association: Association
    first: End
    second: End

    @property
    def both(self) -> tuple[End, End]:
        """The two ends in order."""
        return self.first, self.second

    @property
    def owner(self) -> End | None:
        """The end whose lines these are, where the pairs have no table of their own."""
        for end in self.both:
            same_table = end.entity_type.connection_table == self.association.connection_table
            if same_table and end.end.column.casefold() == end.key.source_column.casefold():
                return end
        return None

    @property
    def single(self) -> list[End]:
        """The ends of which each value has one pair at most, as far as the lines tell: the owner, else either."""
        return [end for end in ([self.owner] if self.owner else self.both) if not end.end.collection]

    @property
    def pairs(self) -> str:
        """The temporary table of the raw pairs."""
        return name(f"pairs {self.association.identifier}")


def find_ends(configuration: Configuration, association: Association) -> Ends:
    """The two ends of an association.

    Raises:
        PreparationError: an end names what no connector declares.
    """
    found = []
    for number, end in enumerate((association.end1, association.end2), start=1):
        entity_type = configuration.entity_type(end.entity_type)
        if entity_type is None:
            raise PreparationError(f"{association.identifier}: no connector declares entity type '{end.entity_type}'")
        key = entity_type.find(end.key) if end.key else entity_type.primary_key
        if key is None:
            raise PreparationError(f"{association.identifier}: {end.entity_type} has no property '{end.key}'")
        found.append(End(number, end, entity_type, key))
    return Ends(association, *found)
