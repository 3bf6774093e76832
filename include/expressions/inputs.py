"""The inputs of an expression: which properties it reads, and over which links they are reached."""

from __future__ import annotations

from dataclasses import dataclass

from include.expressions.compilation import column_paths
from include.expressions.functions import EVALUATED_AT
from include.expressions.paths import Link, Scope
from include.expressions.records import RECORD, RECORD_END, RECORD_START


@dataclass(frozen=True, slots=True)
class Input:
    """One property that an expression reads.

    ``path`` names the navigations from the entity type of the expression to ``entity_type``, none for a
    property of its own; ``links`` are what these navigations cross, in the same order.
    """

    path: tuple[str, ...]
    links: tuple[Link, ...]
    entity_type: str
    property: str

    def __str__(self) -> str:
        """The input as an expression writes it, such as ``manager.organization.name``."""
        return ".".join([*self.path, self.property])


def inputs_of(expression: str, scope: Scope) -> list[Input]:
    """What an expression over the entity type of a scope reads: each input once, as they first appear in it.

    The instant of the run (``evaluated_at``) is no input. Who reads a record, or the time of all records, reads what
    decides on them, too. The scope is left as it was.

    Raises:
        ExpressionMistake: the text is no expression, or names what is not there.
    """
    graph = scope.graph
    found: dict[tuple[str, ...], Input] = {}
    for column in column_paths(expression):
        path = tuple(column)
        if path == (EVALUATED_AT,) and graph.entity_types[scope.entity_type].find(EVALUATED_AT) is None:
            continue
        reading = Scope(graph, scope.entity_type, scope.timeless, scope.records)
        reading.column(path)
        links = tuple(reading.joins.values())
        entity_type = links[-1].entity_type if links else scope.entity_type
        if path[0] not in {RECORD_START, RECORD_END} or not reading.reads_records:
            found.setdefault(path, Input(path[:-1], links, entity_type, path[-1]))
        if reading.records is not None and reading.reads_records:
            link = reading.records.link
            for item in (reading.records.start, reading.records.end, reading.records.key):
                found.setdefault((RECORD, item), Input((RECORD,), (link,), link.entity_type, item))
    return list(found.values())
