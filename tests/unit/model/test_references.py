"""Names that one part uses and another declares, and what a broken file means for those that build on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.model.configuration import Configuration, Connector
from include.model.loader import load_configuration
from tests.unit.model.conftest import Edit, MistakesIn

REFERENCES = {
    "an association to an unknown entity type": (
        "entity_type: CRM_Group",
        "entity_type: CRM_Groop",
        ["crm.yaml:38: associations[0].end1.entity_type: unknown entity type 'CRM_Groop'; did you mean 'CRM_Group'?"],
    ),
    "an association by a property that is no key": (
        "      column: MemberId",
        "      column: MemberId\n      key: title",
        [
            (
                "crm.yaml:47: associations[0].end2.key: 'title' of CRM_User is neither a primary nor a unique key; "
                "keys: id, user_name, external_id"
            )
        ],
    ),
    "an association by an unknown property": (
        "      column: MemberId",
        "      column: MemberId\n      key: externalid",
        [
            (
                "crm.yaml:47: associations[0].end2.key: unknown property 'externalid' of CRM_User; "
                "did you mean 'external_id'?"
            )
        ],
    ),
    "owners of an unknown entity type": (
        "source_entity_type: HR_Person",
        "source_entity_type: HR_Persons",
        [
            (
                "crm.yaml:49: resource_types[0].source_entity_type: unknown entity type 'HR_Persons'; "
                "did you mean 'HR_Person'?"
            )
        ],
    ),
    "a target of an unknown entity type": (
        "target_entity_type: CRM_User",
        "target_entity_type: Mailbox",
        [
            (
                "crm.yaml:50: resource_types[0].target_entity_type: unknown entity type 'Mailbox'; "
                "known: CRM_User, CRM_Group, HR_Person, HR_Organization"
            )
        ],
    ),
    "an unknown connection": (
        "connection: CRM\n",
        "connection: HRPeople\n",
        ["crm.yaml:51: resource_types[0].connection: unknown connection 'HRPeople'; known: CRM"],
    ),
    "a rule for an unknown property": (
        "property: active",
        "property: actve",
        [
            (
                "crm.yaml:61: resource_types[0].scalar_rules[1].property: unknown property 'actve' of CRM_User; "
                "did you mean 'active'?"
            )
        ],
    ),
    "two rules for one property": (
        "property: active",
        "property: user_name",
        [
            (
                "crm.yaml:61: resource_types[0].scalar_rules[1].property: "
                "a second rule for 'user_name': scalar_rules[0] feeds it already"
            )
        ],
    ),
    "a scalar rule and a navigation rule for one name": (
        "property: active",
        "property: groups",
        [
            (
                "crm.yaml:61: resource_types[0].scalar_rules[1].property: "
                "'groups' is fed by a navigation rule too: one kind of rule feeds a property"
            )
        ],
    ),
    "a navigation rule for a property": (
        "navigation: groups\n        target_property",
        "navigation: title\n        target_property",
        [
            (
                "crm.yaml:64: resource_types[0].navigation_rules[0].navigation: "
                "'title' is a property of CRM_User: feed it with scalar_rules"
            )
        ],
    ),
    "a rule for an unknown navigation": (
        "navigation: groups\n        target_property",
        "navigation: group\n        target_property",
        [
            (
                "crm.yaml:64: resource_types[0].navigation_rules[0].navigation: "
                "unknown navigation 'group' of CRM_User; did you mean 'groups'?"
            )
        ],
    ),
    "a link by an unknown property": (
        "target_property: display_name",
        "target_property: user_name",
        [
            (
                "crm.yaml:65: resource_types[0].navigation_rules[0].target_property: "
                "unknown property 'user_name' of CRM_Group; known: id, display_name"
            )
        ],
    ),
    "an unknown resource type to depend on": (
        "    connection: CRM\n",
        "    connection: CRM\n    depends_on: CRM_User_Nominativ\n",
        [
            (
                "crm.yaml:52: resource_types[0].depends_on: unknown resource type 'CRM_User_Nominativ'; "
                "did you mean 'CRM_User_Nominative'?"
            )
        ],
    ),
    "a resource type that depends on itself": (
        "    connection: CRM\n",
        "    connection: CRM\n    depends_on: CRM_User_Nominative\n",
        [("crm.yaml:52: resource_types[0].depends_on: depends on itself: CRM_User_Nominative -> CRM_User_Nominative")],
    ),
}
MAILBOX = """\
identifier: Mail
connections:
  - {identifier: Mail, package: scim}
resource_types:
  - identifier: Mailbox
    source_entity_type: HR_Person
    target_entity_type: HR_Person
    connection: Mail
    depends_on: CRM_User_Nominative
"""


@pytest.mark.parametrize(("before", "after", "expected"), REFERENCES.values(), ids=REFERENCES.keys())
def test_a_name_that_leads_nowhere(
    before: str, after: str, expected: list[str], edit: Edit, mistakes_in: MistakesIn
) -> None:
    edit("crm.yaml", before, after)
    assert mistakes_in("crm.yaml") == expected


def test_a_navigation_needs_a_navigation_rule(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("crm.yaml", "property: active", "property: groups")
    edit("crm.yaml", "    navigation_rules:", "    arguments: {}\n#")
    edit("crm.yaml", "      - navigation: groups\n        target_property: display_name\n", "")
    edit("crm.yaml", "        target_value: Sales\n        condition: organization.code = 'SAL'\n", "")
    assert mistakes_in("crm.yaml") == [
        (
            "crm.yaml:61: resource_types[0].scalar_rules[1].property: "
            "'groups' is a navigation of CRM_User: feed it with navigation_rules"
        )
    ]


def test_resource_types_of_two_files_that_wait_for_each_other(
    folder: Path, edit: Edit, mistakes_in: MistakesIn
) -> None:
    (folder / "mail.yaml").write_text(MAILBOX)
    assert mistakes_in("mail.yaml") == []
    edit("crm.yaml", "    connection: CRM\n", "    connection: CRM\n    depends_on: Mailbox\n")
    assert mistakes_in("mail.yaml") == [
        "mail.yaml:9: resource_types[0].depends_on: depends on itself: Mailbox -> CRM_User_Nominative -> Mailbox"
    ]
    assert mistakes_in("crm.yaml") == [
        (
            "crm.yaml:52: resource_types[0].depends_on: "
            "depends on itself: CRM_User_Nominative -> Mailbox -> CRM_User_Nominative"
        )
    ]


def test_a_bad_file_leaves_the_others_usable(edit: Edit, load: Callable[[], Configuration]) -> None:
    edit("crm.yaml", "agent: office", "agnt: office")
    configuration = load()
    assert [item.identifier for item in configuration.connectors] == ["HR"]
    assert [(item.identifier, item.file) for item in configuration.broken] == [("CRM", "crm.yaml")]


def test_what_builds_on_a_broken_connector_is_broken_and_says_so(
    folder: Path, edit: Edit, load: Callable[[], Configuration], mistakes_in: MistakesIn
) -> None:
    (folder / "mail.yaml").write_text(MAILBOX)
    edit("hr.yaml", "display_name:", "disply_name:")
    assert load().connectors == ()
    assert mistakes_in("crm.yaml") == [
        (
            "crm.yaml:49: resource_types[0].source_entity_type: "
            "entity type 'HR_Person' belongs to connector 'HR', which is broken: mend hr.yaml first"
        )
    ]
    assert mistakes_in("mail.yaml") == [
        f"mail.yaml:{line}: resource_types[0].{field}: "
        "entity type 'HR_Person' belongs to connector 'HR', which is broken: mend hr.yaml first"
        for line, field in [(6, "source_entity_type"), (7, "target_entity_type")]
    ]


def test_brokenness_spreads_along_a_chain(
    folder: Path, edit: Edit, load: Callable[[], Configuration], mistakes_in: MistakesIn
) -> None:
    # Before crm.yaml in the order of names, so that one pass over the files is not enough.
    (folder / "a.yaml").write_text(MAILBOX.replace("HR_Person", "CRM_User"))
    edit("hr.yaml", "display_name:", "disply_name:")
    assert load().connectors == ()
    assert (
        "a.yaml:6: resource_types[0].source_entity_type: "
        "entity type 'CRM_User' belongs to connector 'CRM', which is broken: mend crm.yaml first"
    ) in mistakes_in("a.yaml")


def test_a_link_that_a_broken_connector_declares_is_missing_too(
    folder: Path, edit: Edit, mistakes_in: MistakesIn
) -> None:
    (folder / "links.yaml").write_text(
        """\
identifier: Links
connections: [{identifier: Links, package: scim, settings: {page: 1}}]
associations:
  - identifier: CRM_Manager
    connection_table: Links
    end1: {entity_type: CRM_User, navigation: manager, column: user}
    end2: {entity_type: CRM_User, navigation: reports, column: manager, collection: true}
"""
    )
    edit(
        "crm.yaml",
        "navigation: groups\n        target_property: display_name",
        "navigation: manager\n        target_property: title",
    )
    assert mistakes_in("crm.yaml") == [
        (
            "crm.yaml:64: resource_types[0].navigation_rules[0].navigation: "
            "navigation 'manager' belongs to connector 'Links', which is broken: mend links.yaml first"
        )
    ]


def test_what_an_unreadable_file_may_hold_is_not_called_unknown_alone(
    edit: Edit, load: Callable[[], Configuration], mistakes_in: MistakesIn
) -> None:
    edit("hr.yaml", "identifier: HR\n", "identifier: HR: HR\n")
    assert mistakes_in("crm.yaml") == [
        (
            "crm.yaml:49: resource_types[0].source_entity_type: unknown entity type 'HR_Person'; "
            "known: CRM_User, CRM_Group (or it stands in hr.yaml, which cannot be read)"
        )
    ]
    assert [item.identifier for item in load().broken] == ["CRM", "hr"]


def test_an_entity_type_whose_name_cannot_be_read_does_not_pass_elsewhere(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "- identifier: HR_Person\n", "- identifier: HR-Person\n")
    assert len(mistakes_in("hr.yaml")) == 1
    assert mistakes_in("crm.yaml") == [
        (
            "crm.yaml:49: resource_types[0].source_entity_type: unknown entity type 'HR_Person'; "
            "known: CRM_User, CRM_Group, HR_Organization (or it stands in hr.yaml, which cannot be read)"
        )
    ]


def test_further_checks_are_placed_in_the_file_and_spread(folder: Path, edit: Edit) -> None:
    seen: list[tuple[str, int]] = []

    def checks(connector: Connector, configuration: Configuration) -> Iterator[tuple[str, str]]:
        seen.append((connector.identifier, len(configuration.connectors)))
        if connector.identifier == "HR":
            yield "entity_types[1].properties[1].identifier", "not\nwelcome"
            yield "entity_types[1].nothing.here", "nearest place"

    configuration = load_configuration(folder, extra_checks=checks)
    assert seen == [("CRM", 2), ("HR", 2)]
    assert [str(mistake) for item in configuration.broken for mistake in item.mistakes] == [
        (
            "crm.yaml:49: resource_types[0].source_entity_type: "
            "entity type 'HR_Person' belongs to connector 'HR', which is broken: mend hr.yaml first"
        ),
        "hr.yaml:34: entity_types[1].nothing.here: nearest place",
        "hr.yaml:39: entity_types[1].properties[1].identifier: not welcome",
    ]
    assert configuration.connectors == ()

    seen.clear()
    edit("crm.yaml", "agent: office", "agnt: office")
    load_configuration(folder, extra_checks=checks)
    assert seen == [("HR", 1)]
