"""A YAML document as plain data, with the line of every field.

libyaml composes the nodes (a hundred files in 50 ms; ruamel.yaml takes 1.5 s for the same), and lines
are looked up in the node tree only for the fields that a mistake names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

FieldPath = tuple[str | int, ...]
"""Names and list indices from the root of a document to a field."""

MERGE_TAG = "tag:yaml.org,2002:merge"
CONTAINER_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
# PyYAML names no public type for "the C loader if there is one".
Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


@dataclass(frozen=True, slots=True)
class Misreading:
    """One place of a document that cannot be read as it stands."""

    line: int
    path: FieldPath
    message: str
    value_lost: bool
    """Whether the field at the path has no value in the data because of it."""


class UnreadableDocument(Exception):
    """The text is no YAML document at all; picklable, one line."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        self.message = message
        super().__init__(line, message)


@dataclass(frozen=True, slots=True)
class Document:
    """A document as dicts, lists and scalars; fields that could not be read are left out of it."""

    data: Any
    root: yaml.Node | None
    misreadings: tuple[Misreading, ...] = ()

    def line(self, path: FieldPath) -> int:
        """The line of a field (of its key), or of the nearest field around one that is not there."""
        node, line = self.root, _line(self.root) if self.root else 1
        for step in path:
            child = _child(node, step)
            if child is None:
                break
            line, node = child
        return line


def dotted(path: FieldPath) -> str:
    """A path as people write it: ``resource_types[0].scalar_rules[2].expression``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def parse_path(text: str) -> FieldPath:
    """The path that ``dotted`` wrote."""
    return tuple(int(index) if index else name for index, name in _STEP.findall(text))


def read_document(content: bytes) -> Document:
    """Read one UTF-8 YAML document.

    Raises:
        UnreadableDocument: not UTF-8, not YAML, or more than one document.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableDocument(content.count(b"\n", 0, error.start) + 1, "not UTF-8 text") from None
    try:
        loader = Loader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableDocument(line, "not valid YAML: control characters are not allowed") from None
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error) from None
    if root is None:
        return Document(None, None)
    builder = _Builder(loader)
    return Document(builder.value(root, ()), root, tuple(builder.misreadings))


def _unreadable(error: yaml.MarkedYAMLError) -> UnreadableDocument:
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    message = f"not valid YAML: {error.problem}"
    begun = error.context_mark.line + 1 if error.context_mark else line
    if error.context:
        message += f" {error.context}"
    if begun != line:
        message += f" that begins at line {begun}"
    return UnreadableDocument(line, message)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """The line at which a field or item is written, and its node."""
    if isinstance(node, yaml.MappingNode):
        found = next((pair for pair in _pairs(node) if pair[0].value == step), None)
        return (_line(found[0]), found[1]) if found else None
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return _line(node.value[step]), node.value[step]
    return None


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Keys and values of a mapping, its own before those it merges (``<<``)."""
    yield from (pair for pair in node.value if pair[0].tag != MERGE_TAG)
    for _, merged in (pair for pair in node.value if pair[0].tag == MERGE_TAG):
        for source in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
            if isinstance(source, yaml.MappingNode):
                yield from _pairs(source)


@dataclass(slots=True)
class _Builder:
    """Builds data from nodes, each node once however many aliases lead to it."""

    loader: Any
    misreadings: list[Misreading] = field(default_factory=list)
    built: dict[int, Any] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)

    def value(self, node: yaml.Node, path: FieldPath) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        identity = id(node)
        if identity in self.open:
            return self._misread(node, path, "an anchor that holds itself")
        if node.tag not in CONTAINER_TAGS:
            return self._misread(node, path, "an unknown YAML tag")
        if identity not in self.built:
            self.open.add(identity)
            build = self._mapping if isinstance(node, yaml.MappingNode) else self._sequence
            self.built[identity] = build(node, path)
            self.open.discard(identity)
        return self.built[identity]

    def _scalar(self, node: yaml.ScalarNode, path: FieldPath) -> Any:
        if node.tag == "tag:yaml.org,2002:str":
            return node.value
        try:
            return self.loader.construct_object(node)
        except yaml.constructor.ConstructorError:
            return self._misread(node, path, "an unknown YAML tag")
        except ValueError:
            return self._misread(node, path, "not a date or number that exists; put text in quotes")

    def _sequence(self, node: yaml.Node, path: FieldPath) -> list[Any]:
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.Node, path: FieldPath) -> dict[str, Any]:
        self._report_duplicates(node, path)
        mapping: dict[str, Any] = {}
        for key, value in self._readable_pairs(node, path):
            # The text of a key as written: "on" and "1" are names here, not true and a number.
            if key.value not in mapping:
                mapping[key.value] = self.value(value, (*path, key.value))
        return mapping

    def _readable_pairs(self, node: yaml.Node, path: FieldPath) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - _mapping is called with mappings only
        for key, value in _pairs(node):
            if isinstance(key, yaml.ScalarNode):
                yield key, value
            else:
                message = "a field name must be plain text"
                self.misreadings.append(Misreading(_line(key), path, message, value_lost=False))

    def _report_duplicates(self, node: yaml.Node, path: FieldPath) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE_TAG:
                continue
            if key.value in first:
                message = f"duplicate field '{key.value}'; the first is at line {first[key.value]}"
                self.misreadings.append(Misreading(_line(key), (*path, key.value), message, value_lost=False))
            first.setdefault(key.value, _line(key))

    def _misread(self, node: yaml.Node, path: FieldPath, message: str) -> None:
        self.misreadings.append(Misreading(_line(node), path, message, value_lost=True))
