"""Writing single resources: create, change, delete, members; with the ways around what a server lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from connectors.errors import ConnectorError, InvalidValue
from connectors.scim.answers import NOT_OFFERED, Answer, page_of
from connectors.scim.client import ScimClient
from connectors.scim.current import differing, refuse_conflict
from connectors.scim.discovery import Resource, Service
from connectors.scim.orders import GroupChange, Write
from connectors.scim.payload import (
    Changes,
    changed,
    creation,
    member_operations,
    members_of,
    needs_current,
    operations,
    patch,
    quoted,
    with_members,
)
from connectors.scim.values import member_of

VERSION_TRIES = 3
"""How often a change is worked out anew when somebody else changes the object in between."""

PUT_MAY_HELP = frozenset({"", "invalidpath", "invalidsyntax", "notarget"})
"""Error types, without case, after which the same change may pass as a replacement."""

State = Mapping[str, Any]


class Writer:
    """Writes resources of one service provider.

    Where a method takes ``look``, true reads the object first and writes only what it does not hold yet: an earlier
    try may have come as far.
    """

    def __init__(self, client: ScimClient, service: Service, *, check_current_values: bool | None = None) -> None:
        self._client = client
        self._patch = service.patch
        self._check = check_current_values

    def find(self, write: Write) -> str | None:
        """The id of the object that an addition is about, where it is there already.

        Raises:
            InvalidValue: several objects answer to it, or the server takes none of the filters.
        """
        refused: list[Answer] = []
        identity = write.identity()
        for name, value in identity:
            query = {"filter": f"{name} eq {quoted(value)}"}
            answer = self._client.get(f"look for {write.resource.name} by {name}", write.resource.name, query=query)
            if not answer.ok:
                if not answer.refuses_query:
                    raise answer.failure()
                refused.append(answer)
                continue
            meant = {str(one.get("id")) for one in page_of(answer).resources if one.get("id") and write.is_meant(one)}
            if len(meant) > 1:
                raise InvalidValue(f"{answer.operation}: {len(meant)} objects have this {name}; make it unique first")
            if meant:
                return meant.pop()
        if refused and len(refused) == len(identity):
            raise refused[0].failure()
        return None

    def create(self, write: Write) -> Answer:
        """POST once; a lost answer raises ``ConnectionFailed`` and the object may be there."""
        names = "' '".join(value for _, value in write.identity())
        body = creation(write.resource.schema, write.changes)
        operation = f"create {write.resource.name} '{names}'"
        return self._client.request("POST", operation, (write.resource.name,), body=body, repeatable=False)

    def change(
        self,
        resource: Resource,
        key: str,
        changes: Changes,
        *,
        expected: Changes | None = None,
        look: bool = False,
    ) -> None:
        """Change attributes of one object.

        Raises:
            Conflict: an attribute is neither as ``expected`` nor as wanted (``check_current_values``), or the object
                changes whenever it is about to be written.
            ConnectorError: ``ObjectMissing`` where there is no such object, or what the server says.
        """
        if not changes:
            return
        expected = {} if expected is None or self._check is False else expected
        look = look or needs_current(changes) or bool(self._check and expected)

        def compared(current: State) -> State:
            refuse_conflict(f"change {resource.name} '{key}'", current, changes, expected)
            return current

        answer = self._patched(resource, key, changes, compared if look else None) if self._patch else None
        if answer is None or self._put_instead(answer):
            answer = self._rewritten(resource, key, lambda current: changed(compared(current), changes))
        if not answer.ok:
            raise answer.failure()

    def delete(self, resource: Resource, key: str, *, look: bool = False) -> None:
        """Delete one object; one that is gone already is fine."""
        if look and self._is_gone(resource, key):
            return
        answer = self._client.request("DELETE", f"delete {resource.name} '{key}'", (resource.name, key))
        if not answer.ok and answer.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            raise answer.failure()

    def _is_gone(self, resource: Resource, key: str) -> bool:
        answer = self._client.get(f"read {resource.name} '{key}'", resource.name, key)
        return answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}

    def change_members(self, change: GroupChange, *, look: bool = False) -> None:
        """Add members to a group, then remove some; members already there or already gone are fine."""
        if look:
            change = self._left_to_change(change)
            if not change.additions and not change.removals:
                return
        portions = list(member_operations(change.additions, change.removals)) if self._patch else [[]]
        for portion in portions:
            answer = self._send_members(change, portion) if self._patch else None
            if answer is None or self._put_instead(answer):
                answer = self._rewritten(
                    change.groups, change.group, lambda group: with_members(group, change.additions, change.removals)
                )
            if self._nothing_to_remove(answer, change):
                return
            if not answer.ok:
                raise answer.failure()

    def _left_to_change(self, change: GroupChange) -> GroupChange:
        """What the group does not hold yet. A group that cannot be read is left to the write to judge."""
        answer = self._client.get(f"read {change.groups.name} '{change.group}'", change.groups.name, change.group)
        if not answer.ok:
            return change
        members = set(members_of(answer.body))
        return replace(
            change,
            additions=tuple(member for member in change.additions if member not in members),
            removals=tuple(member for member in change.removals if member in members),
        )

    def _send_members(self, change: GroupChange, portion: list[dict[str, Any]]) -> Answer:
        operation = f"change members of {change.groups.name} '{change.group}'"
        return self._client.request("PATCH", operation, (change.groups.name, change.group), body=patch(portion))

    @staticmethod
    def _nothing_to_remove(answer: Answer, change: GroupChange) -> bool:
        return answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE} and not change.additions

    def _patched(
        self, resource: Resource, key: str, changes: Changes, compared: Callable[[State], State] | None
    ) -> Answer:
        """PATCH; over the present state, once ``compared`` has not refused it, where that is given."""
        operation = f"change {resource.name} '{key}'"
        if compared is None:
            body = patch(operations(changes, {}))
            return self._client.request("PATCH", operation, (resource.name, key), body=body)

        def send(current: State, etag: str | None) -> Answer | None:
            found = operations(differing(compared(current), changes), current)
            if not found:
                return None
            return self._client.request("PATCH", operation, (resource.name, key), body=patch(found), etag=etag)

        return self._on_current(resource, key, send)

    def _rewritten(self, resource: Resource, key: str, change: Callable[[State], dict[str, Any]]) -> Answer:
        """GET, change, PUT: only over the version that was read, where the server tells versions."""

        def send(current: State, etag: str | None) -> Answer | None:
            future = change(current)
            if future == current:
                return None
            return self._client.request(
                "PUT", f"replace {resource.name} '{key}'", (resource.name, key), body=future, etag=etag
            )

        return self._on_current(resource, key, send)

    def _on_current(self, resource: Resource, key: str, send: Callable[[State, str | None], Answer | None]) -> Answer:
        """Read the object and send what follows from it, anew when its version moved on meanwhile."""
        answer = None
        for _ in range(VERSION_TRIES):
            current = self._client.get(f"read {resource.name} '{key}'", resource.name, key)
            if not current.ok:
                return current
            answer = send(current.body, current.etag or self._version(current.body))
            if answer is None:
                return current
            if answer.status != HTTPStatus.PRECONDITION_FAILED:
                return answer
        if answer is None:
            raise ConnectorError(f"change {resource.name} '{key}': no try was made")
        return answer

    @staticmethod
    def _version(document: State) -> str | None:
        meta = member_of(document, "meta")
        version = member_of(meta, "version") if isinstance(meta, Mapping) else None
        return version if isinstance(version, str) else None

    def _put_instead(self, answer: Answer) -> bool:
        """Whether to replace the object since the server does not take this PATCH."""
        if answer.status in NOT_OFFERED:
            self._patch = False
            return True
        return answer.status == HTTPStatus.BAD_REQUEST and answer.error_type.casefold() in PUT_MAY_HELP
