"""Which workflow an order starts, and what the workflow is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.errors import ConfigurationError, InvalidValue
from connectors.order_files import order_json
from connectors.workflow.launch import Launch, launch
from connectors.workflow.placeholders import filled
from connectors.workflow.settings import InternalWorkflowSettings
from tests import strategies
from tests.unit.connectors.order_samples import sample_order

NOW = datetime(2026, 5, 1, 12, 30, 15, 999, tzinfo=UTC)


def settings(*configurations: dict[str, Any], **others: Any) -> InternalWorkflowSettings:
    given = {
        "source_entity_identifier": "Directory_UserRecord",
        "target_entity_type_identifier": "Directory_User",
        "fulfill_internal_workflow_configurations": configurations or ({"change_type": "Added"},),
    }
    return InternalWorkflowSettings.model_validate(given | others)


def launched(order: Any, **configuration: Any) -> Launch:
    model = {"workflow_identifier": "onboarding"} | configuration.pop("model", {})
    return launch(order, settings({"change_type": order.change_type, "model": model} | configuration), NOW)


class TestWorkflow:
    def test_each_change_type_starts_the_workflow_that_is_configured_for_it(self) -> None:
        made = settings(
            {"change_type": "Added", "model": {"workflow_identifier": "onboarding"}},
            {"change_type": "Deleted", "model": {"workflow_identifier": "leaving"}},
        )
        assert launch(sample_order(1, "Added"), made, NOW).workflow == "onboarding"
        assert launch(sample_order(1, "Deleted"), made, NOW).workflow == "leaving"
        with pytest.raises(ConfigurationError, match="no workflow is configured for orders of change type Modified"):
            launch(sample_order(1, "Modified"), made, NOW)

    def test_the_argument_of_the_order_wins_over_the_settings(self) -> None:
        order = sample_order(Arguments={"WorkflowIdentifier": "rehire", "ResourceIdToCopy": "4711"})
        wanted = launched(order)
        assert wanted.workflow == "rehire"
        assert wanted.parameters["Workflow"]["ResourceIdToCopy"] == "4711"

    def test_an_empty_argument_is_none(self) -> None:
        order = sample_order(Arguments={"WorkflowIdentifier": " ", "ResourceIdToCopy": ""})
        wanted = launched(order)
        assert wanted.workflow == "onboarding"
        assert "ResourceIdToCopy" not in wanted.parameters["Workflow"]

    def test_an_order_for_which_nobody_names_a_workflow_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="set workflow_identifier, or the argument WorkflowIdentifier"):
            launch(sample_order(), settings({"change_type": "Added"}), NOW)

    def test_the_run_id_is_that_of_the_order_and_of_nothing_else(self) -> None:
        assert launched(sample_order(7), model={"workflow_identifier": "a"}).run_id == "rollcall__o7"
        assert launched(sample_order(7, "Deleted"), model={"workflow_identifier": "b"}).run_id == "rollcall__o7"
        with pytest.raises(InvalidValue, match="OrderId"):
            launched(sample_order("/../x"))


class TestParameters:
    def test_they_are_the_order_as_in_its_file_and_what_the_settings_say(self) -> None:
        order = sample_order(1, "Modified", Changes={"name": "Anna", "site_add": [{"Id": "1", "Label": "Wien"}]})
        wanted = launch(
            order,
            settings(
                {
                    "change_type": "Modified",
                    "model": {
                        "workflow_identifier": "change",
                        "transition_identifier": "ActionPending-Execute",
                        "message": "Now $Changes:name$",
                        "body": "Was $Resource:name$",
                    },
                    "scalar_properties": ["name", "login"],
                    "navigation_properties": ["site"],
                },
                navigation_to_target_entity="User",
                navigation_target_to_source="Records",
            ),
            NOW,
        )
        assert wanted.note == "Now Anna"
        assert wanted.parameters == order_json(order) | {
            "Workflow": {
                "SourceEntityIdentifier": "Directory_UserRecord",
                "TargetEntityTypeIdentifier": "Directory_User",
                "NavigationToTargetEntity": "User",
                "NavigationTargetToSource": "Records",
                "TransitionIdentifier": "ActionPending-Execute",
                "Message": "Now Anna",
                "Body": "Was Old",
                "ScalarProperties": {"name": "Anna"},
                "NavigationProperties": {"site_add": [{"Id": "1", "Label": "Wien"}]},
                "DateProperties": {},
            }
        }

    def test_a_date_comes_from_the_order(self) -> None:
        order = sample_order(Changes={"hired_at": "2026-06-01 00:00:00"})
        wanted = launched(order, date_properties=["hired_at", "left_at"])
        assert wanted.parameters["Workflow"]["DateProperties"] == {"hired_at": "2026-06-01 00:00:00"}

    def test_a_date_of_a_deletion_is_the_instant_of_the_execution(self) -> None:
        wanted = launched(sample_order(1, "Deleted"), date_properties=["left_at"])
        assert wanted.parameters["Workflow"]["DateProperties"] == {"left_at": "2026-05-01 12:30:15"}


class TestPlaceholders:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("$Changes:name$ joins", "Anna joins"),
            ("$Resource:name$ becomes $Changes:name$", "Old becomes Anna"),
            ("$Changes:login$", "login1"),
            ("$Changes:active$", "false"),
            ("$Resource:active$", "true"),
            ("$Changes:level$", "7"),
            ("[$Changes:left_at$]", "[]"),
            ("$Changes:Site.Label$", "Wien"),
            ("$Changes:Site.Country.Name$", "Austria"),
            ("$Changes:groups.name$", "Sales, Research"),
            ("$Changes:groups_add.name$", "Sales, Research"),
            ("$Changes:groups_remove.name$", "Board"),
            ("$Changes:Site$", "Vienna"),
            ("[$Changes:Site.nothing$]", "[]"),
            ("100 $ and $name$ stay", "100 $ and $name$ stay"),
        ],
    )
    def test_they_give_changed_and_current_values(self, text: str, expected: str) -> None:
        changes = {
            "name": "Anna",
            "active": False,
            "level": 7,
            "left_at": None,
            "Site": {
                "Id": "1",
                "InternalDisplayName": "Vienna",
                "Label": "Wien",
                "Country": {"Name": "Austria"},
            },
            "groups_add": [{"name": "Sales"}, {"name": "Research"}],
            "groups_remove": [{"name": "Board"}],
        }
        assert filled(text, sample_order(1, "Modified", Changes=changes)) == expected

    def test_a_value_is_never_read_for_placeholders_again(self) -> None:
        order = sample_order(Changes={"name": "$Changes:login$", "login": "secret"})
        assert filled("$Changes:name$", order) == "$Changes:login$"

    @given(text=strategies.unicode_text.filter(lambda text: "$" not in text))
    def test_other_text_stays_as_it_is(self, text: str) -> None:
        assert filled(f"{text}$Changes:name${text}", sample_order()) == f"{text}Anne{text}"

    @given(kind=st.sampled_from(["Changes", "Resource"]))
    def test_a_property_that_does_not_exist_is_told_from_one_without_a_value(self, kind: str) -> None:
        order = sample_order(1, "Modified")
        assert filled(f"$Changes:left_at$$Changes:site.Label$$Changes:site_add.Label$", order) == ""  # noqa: F541
        with pytest.raises(ConfigurationError, match=r"nmae.*names no property of CRM_User"):
            filled(f"${kind}:nmae$", order)

    def test_an_order_that_does_not_tell_its_properties_gives_the_empty_text(self) -> None:
        assert filled("[$Changes:nmae$]", sample_order(ResourceType={"Identifier": "x"})) == "[]"


class TestSettings:
    @pytest.mark.parametrize(
        ("others", "words"),
        [
            ({"fulfill_internal_workflow_configurations": []}, "at least 1"),
            ({"fulfill_internal_workflow_configurations": [{"change_type": "Added"}] * 2}, "Added comes twice"),
            ({"fulfill_internal_workflow_configurations": [{"change_type": "Updated"}]}, "'Modified'"),
            ({"navigation_to_target_entity": "User"}, "or neither"),
            ({"path": "orders"}, "set 'source: folder'"),
            ({"resource_types": ["CRM_User"]}, "set 'source: folder'"),
        ],
    )
    def test_what_does_not_fit_together_is_refused(self, others: dict[str, Any], words: str) -> None:
        with pytest.raises(ValidationError, match=words):
            settings(**others)

    @pytest.mark.parametrize(
        ("text", "words"), [("$Owner:name$", r"placeholder is \$Changes"), ("$Changes:a..b$", "single dots")]
    )
    def test_a_placeholder_of_another_kind_is_refused_at_load(self, text: str, words: str) -> None:
        for place in ("message", "body"):
            with pytest.raises(ValidationError, match=words):
                settings({"change_type": "Added", "model": {place: text}})
