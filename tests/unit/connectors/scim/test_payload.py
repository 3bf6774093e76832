"""Changes of columns as SCIM payloads, and back: what is written is what is read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import ConfigurationError, InvalidValue
from connectors.scim.columns import Column, resolve
from connectors.scim.payload import (
    changed,
    checked,
    creation,
    member_operations,
    members_of,
    operations,
    quoted,
    with_members,
)
from connectors.scim.schema import ENTERPRISE_SCHEMA, USER_SCHEMA, standard_schema
from connectors.scim.values import joined, json_value, read_text

USER = standard_schema("Users")
TEXT_COLUMNS = (
    "userName",
    "externalId",
    "displayName",
    "name:familyName",
    "name:givenName",
    "emails:value",
    "emails:type",
    "phoneNumbers:value",
    "addresses:locality",
    f"{ENTERPRISE_SCHEMA}:department",
    f"{ENTERPRISE_SCHEMA}:manager:value",
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
lines = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))).map(joined)


def column(name: str, *, multivalued: bool = False) -> Column:
    return resolve(name, USER, multivalued=multivalued)


rows = st.fixed_dictionaries(
    {column(name): st.none() | texts for name in TEXT_COLUMNS}
    | {column("active"): st.sampled_from([None, "true", "false"])}
    | {column(name, multivalued=True): lines for name in ("roles:value", "ims:display")}
)


def applied(document: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    """A small PATCH engine for the plain paths that we send (RFC 7644 3.5.2)."""
    for operation in patch:
        path = operation["path"]
        inside = document
        if path.startswith(f"{ENTERPRISE_SCHEMA}:"):
            inside = document.setdefault(ENTERPRISE_SCHEMA, {})
            path = path.removeprefix(f"{ENTERPRISE_SCHEMA}:")
        *parents, last = path.split(".")
        for parent in parents:
            inside = inside.setdefault(parent, {})
        if operation["op"] == "remove":
            inside.pop(last, None)
        else:
            inside[last] = operation["value"]
    return document


class TestRoundTrip:
    @given(rows)
    def test_a_created_resource_reads_as_it_was_ordered(self, row: dict[Column, str | None]) -> None:
        document = creation(USER, row)
        assert {one: read_text(document, one) for one in row} == row

    @given(rows, rows)
    def test_a_changed_resource_reads_as_the_change(
        self, before: dict[Column, str | None], after: dict[Column, str | None]
    ) -> None:
        document = changed(creation(USER, before), after)
        assert {one: read_text(document, one) for one in after} == after

    @given(rows, rows)
    def test_patch_and_replacement_come_to_the_same(
        self, before: dict[Column, str | None], after: dict[Column, str | None]
    ) -> None:
        document = creation(USER, before)
        patched = applied(creation(USER, before), operations(after, document))
        replaced = changed(document, after)
        assert {one: read_text(patched, one) for one in after} == {one: read_text(replaced, one) for one in after}

    @given(rows)
    def test_changing_to_what_is_there_changes_nothing(self, row: dict[Column, str | None]) -> None:
        document = creation(USER, row)
        assert changed(document, row) == document
        assert not [one for one in operations(row, document) if one["path"] in {"emails", "roles", "ims", "addresses"}]

    @given(rows, rows)
    def test_a_change_leaves_its_input_alone(
        self, before: dict[Column, str | None], after: dict[Column, str | None]
    ) -> None:
        document, copy = creation(USER, before), creation(USER, before)
        changed(document, after)
        assert document == copy


class TestShape:
    def test_nothing_is_said_of_what_has_no_value(self) -> None:
        assert creation(
            USER, {column("title"): None, column("emails:value"): None, column("name:familyName"): None}
        ) == {"schemas": [USER_SCHEMA]}

    def test_extensions_are_announced_while_they_hold_something(self) -> None:
        department = column(f"{ENTERPRISE_SCHEMA}:department")
        document = creation(USER, {department: "Engines"})
        assert document == {
            "schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA],
            ENTERPRISE_SCHEMA: {"department": "Engines"},
        }
        assert changed(document, {department: None}) == {"schemas": [USER_SCHEMA]}

    def test_names_of_the_server_are_kept_in_its_own_case(self) -> None:
        assert changed({"USERNAME": "old"}, {column("userName"): "new"}) == {"USERNAME": "new"}

    def test_a_listed_value_keeps_the_other_parts_of_items_that_stay(self) -> None:
        document = {"emails": [{"value": "b", "type": "work"}, {"value": "a", "primary": True}]}
        after = changed(document, {column("emails:value", multivalued=True): "b\nc"})
        assert after["emails"] == [{"value": "b", "type": "work"}, {"value": "c"}]

    def test_only_changed_attributes_are_patched(self) -> None:
        found = operations({column("title"): None, column("name:familyName"): "L"}, {})
        assert {(one["op"], one["path"], one.get("value")) for one in found} == {
            ("remove", "title", None),
            ("replace", "name.familyName", "L"),
        }

    def test_columns_that_the_server_assigns_are_refused(self) -> None:
        for name in ("id", "meta:lastModified", "groups:value"):
            with pytest.raises(InvalidValue, match="read-only"):
                checked({column(name): "x"})

    def test_two_lists_of_one_attribute_are_refused(self) -> None:
        both = {column("emails:value", multivalued=True): "a", column("emails:type", multivalued=True): "work"}
        with pytest.raises(ConfigurationError, match="cannot be written together"):
            checked(both)


class TestValues:
    def typed(self, kind: str) -> Column:
        return Column(name="c", attribute="c", type=kind)

    @pytest.mark.parametrize(
        ("kind", "given_value", "sent"),
        [
            ("boolean", "TRUE", True),
            ("boolean", "0", False),
            ("boolean", True, True),
            ("integer", "42", 42),
            ("integer", 42, 42),
            ("decimal", "1.5", 1.5),
            ("string", 42, "42"),
            ("string", True, "true"),
            ("string", "", ""),
            ("dateTime", "2024-02-29 12:00:00", "2024-02-29T12:00:00Z"),
            ("dateTime", "2024-02-29T12:00:00+02:00", "2024-02-29T10:00:00Z"),
            ("dateTime", None, None),
        ],
    )
    def test_values_take_the_type_of_the_attribute(self, kind: str, given_value: Any, sent: Any) -> None:
        assert json_value(given_value, self.typed(kind)) == sent

    @pytest.mark.parametrize(("kind", "wrong"), [("boolean", "perhaps"), ("integer", "1.5"), ("dateTime", "soon")])
    def test_a_value_of_another_type_is_refused_without_being_shown(self, kind: str, wrong: str) -> None:
        with pytest.raises(InvalidValue) as caught:
            json_value(wrong, self.typed(kind))
        assert wrong not in caught.value.message

    @given(st.permutations(["b", "a", "B", "é", " ", "b"]))
    def test_the_same_values_in_any_order_are_the_same_text(self, values: list[str]) -> None:
        assert joined(values) == " \na\nB\nb\né"

    def test_missing_null_and_empty_list_are_all_no_value(self) -> None:
        mail = column("emails:value")
        documents: list[dict[str, Any]] = [{}, {"emails": None}, {"emails": []}, {"emails": [{"type": "work"}]}]
        for document in documents:
            assert read_text(document, mail) is None

    def test_the_primary_value_wins_over_the_first(self) -> None:
        document = {"emails": [{"value": "first"}, {"value": "main", "primary": True}]}
        assert read_text(document, column("emails:value")) == "main"

    def test_a_list_of_plain_values_is_read_as_their_values(self) -> None:
        assert read_text({"roles": ["b", "a"]}, column("roles:value", multivalued=True)) == "a\nb"


class TestMembers:
    @given(st.sets(st.text(min_size=1)), st.sets(st.text(min_size=1)), st.sets(st.text(min_size=1)))
    def test_a_replaced_group_holds_what_it_should(self, before: set[str], gain: set[str], loss: set[str]) -> None:
        group = {"displayName": "G", "members": [{"value": one, "type": "User"} for one in sorted(before)]}
        after = with_members(group, gain, loss)
        assert set(members_of(after)) == (before - loss) | gain
        assert len(members_of(after)) == len(set(members_of(after)))
        assert after["displayName"] == "G"

    @given(st.integers(0, 1_000), st.integers(0, 300))
    def test_portions_are_bounded_and_lose_nobody(self, gain: int, loss: int) -> None:
        added = [f"a{number}" for number in range(gain)]
        removed = [f"r{number}" for number in range(loss)]
        portions = list(member_operations(added, removed))
        adds = [one["value"] for one in added_values(portions)]
        removals = [one["path"] for portion in portions for one in portion if one["op"] == "remove"]
        assert adds == added
        assert removals == [f"members[value eq {quoted(one)}]" for one in removed]
        assert all(len(portion) <= 50 for portion in portions)
        assert all(len(one.get("value", [])) <= 200 for portion in portions for one in portion)

    def test_quotes_cannot_leave_the_filter(self) -> None:
        assert quoted('a" or id pr or value eq "b\\') == '"a\\" or id pr or value eq \\"b\\\\"'


def added_values(portions: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [value for portion in portions for one in portion if one["op"] == "add" for value in one["value"]]
