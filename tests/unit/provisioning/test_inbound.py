"""Orders that the repository itself carries out: what becomes of its resources and links, and who is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.model.configuration import Association, Configuration, Connection, Connector
from include.model.resource_type import ResourceType
from include.policy.states import ProvisioningState, WorkflowState
from include.provisioning.inbound import Fulfilment, fulfil_in_repository, held_entity_types
from include.provisioning.orders import generate_orders
from include.provisioning.transmission import transmit
from include.storage.engine import engine
from tests.strategies import TOLERATED
from tests.unit.provisioning.world import (
    DECIDED_AT,
    GROUP,
    MEMBERS,
    NOMINATIVE,
    PERSON,
    RUN_ID,
    USER,
    World,
    world,
)

AT = datetime(2024, 5, 1, 12, 5, tzinfo=UTC)
TITLED = USER.model_copy(
    update={
        "properties": tuple(
            item.model_copy(update={"allowed_values": ("Clerk", "Head")} if item.identifier == "title" else {})
            for item in USER.properties
        )
    }
)
ONE_GROUP = MEMBERS.model_copy(update={"end2": MEMBERS.end2.model_copy(update={"collection": False})})


@dataclass
class Inbound:
    """A directory of users, its rows and links, and what its orders made of it."""

    world: World
    association: Association = MEMBERS
    resource_types: tuple[ResourceType, ...] = (NOMINATIVE,)
    links: tuple[tuple[int, int], ...] = ()
    """Pairs of group and user, by their ids."""

    @property
    def configuration(self) -> tuple[Configuration, Connector]:
        directory = Connector(
            identifier="CRM",
            connections=(Connection(identifier="crm", package="identity_repository"),),
            entity_types=(TITLED, GROUP),
            associations=(self.association,),
            resource_types=self.resource_types,
        )
        hr = Connector(
            identifier="HR", connections=(Connection(identifier="hr", package="csv"),), entity_types=(PERSON,)
        )
        return Configuration(connectors=(directory, hr)), directory

    def joiner(self, number: int, *, resource_type: str = NOMINATIVE.identifier, **values: str | None) -> str:
        """A person who is to get a user with these values."""
        owner = self.world.add("HR_Person", employee_id=f"P{number}", resource_id=number)
        assignment = self.world.assign(owner, resource_type=resource_type)
        for name, value in values.items():
            self.world.scalar(assignment, name, value)
        return assignment

    def owner(self, number: int, *, leaves: bool = False, there: bool = True, **values: Any) -> str:
        """A person who owns user ``u<number>``, of the id 500 + number."""
        user = 500 + number
        if there:
            self.world.add("CRM_User", resource_id=user, id=f"u{number}", **values)
        self.world.add("HR_Person", employee_id=f"P{number}", resource_id=number)
        state = ProvisioningState.PENDING if leaves else ProvisioningState.VERIFIED
        workflow = WorkflowState.CANCELLATION if leaves else WorkflowState.CALCULATED
        return self.world.assign(number, state=state, workflow=workflow, target_id=user, target_key=f"u{number}")

    def fulfil(self) -> Fulfilment:
        """Decide, hand over and carry out."""
        configuration, connector = self.configuration
        self.world.export()
        self._write_links()
        generate_orders(configuration, connector, self.world.run, run_id=RUN_ID, decided_at=DECIDED_AT)
        self.world.load(transmit(self.world.run).changes)
        return fulfil_in_repository(configuration, connector, self.world.run, finished_at=AT)

    def changes(self, item: str) -> list[dict[str, Any]]:
        """The changes of an entity type or association."""
        folder = self.world.run.child("changes", "inbound")
        with engine(folder) as connection:
            rows = connection.execute(f"SELECT * FROM '{folder.file(f'{item}.parquet')}'")
            names = [column[0] for column in rows.description or ()]
            return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]

    def commands(self) -> dict[str, str]:
        """What becomes of users, by key."""
        return {row["key"]: row["command"] for row in self.changes("CRM_User")}

    def pairs(self) -> set[tuple[str, str, str]]:
        """Links that come and go: command, group and user."""
        return {(row["command"], row["key1"], row["key2"]) for row in self.changes("CRM_GroupMember")}

    def refusals(self) -> dict[str, tuple[str, str]]:
        """Error class and message of every order that was refused, by assignment."""
        return {
            row["new"]["assignment"]: (row["new"]["error_class"], row["new"]["message"])
            for row in self.changes("provisioning_order")
            if row["new"]["provisioning_state"] == ProvisioningState.ERRORED
        }

    def _write_links(self) -> None:
        base = self.world.run.child("base")
        values = ", ".join(f"({group}, {user})" for group, user in self.links) or "(NULL, NULL)"
        with engine(base) as connection:
            connection.execute(f"""
                COPY (SELECT resource1_id::BIGINT AS resource1_id, resource2_id::BIGINT AS resource2_id
                      FROM (VALUES {values}) AS v (resource1_id, resource2_id) WHERE resource1_id IS NOT NULL)
                TO '{base.file("CRM_GroupMember.parquet")}' (FORMAT parquet)
            """)


@pytest.fixture
def inbound(tmp_path: Path) -> Inbound:
    made = Inbound(world(tmp_path))
    made.world.add("CRM_Group", id="g1", display_name="Sales", resource_id=901)
    made.world.add("CRM_Group", id="g2", display_name="Support", resource_id=902)
    return made


def test_orders_become_typed_rows_and_links_and_their_results_in_one_folder(inbound: Inbound) -> None:
    creation = inbound.joiner(
        1, id="u1", user_name="ada", level="7", active="true", hired="2020-01-02 03:04:05", title=None
    )
    inbound.world.link(creation, 901)
    change = inbound.owner(2, user_name="ben", title="Clerk", level=3)
    inbound.world.scalar(change, "level", None)
    inbound.world.link(change, 902, expected=False)
    inbound.links = ((902, 502), (901, 502))
    inbound.owner(3, user_name="cy", leaves=True)
    inbound.owner(4, user_name="untouched")

    done = inbound.fulfil()

    assert (done.executed, done.errored) == (3, 0)
    rows = {row["key"]: row for row in inbound.changes("CRM_User")}
    assert {key: row["command"] for key, row in rows.items()} == {"u1": "insert", "u2": "update", "u3": "delete"}
    assert rows["u1"]["new"] == {
        "id": "u1", "user_name": "ada", "family_name": None, "title": None, "active": True, "level": 7,
        "hired": datetime(2020, 1, 2, 3, 4, 5),
    }  # fmt: skip
    assert (rows["u2"]["changed_columns"], rows["u2"]["new"]["level"]) == (["level"], None)
    assert inbound.pairs() == {("insert", "g1", "u1"), ("delete", "g2", "u2")}
    orders = [row["new"] for row in inbound.changes("provisioning_order")]
    assert {(row["target_key"], row["provisioning_state"], row["executed_at"]) for row in orders} == {
        (key, ProvisioningState.EXECUTED, AT.replace(tzinfo=None)) for key in ("u1", "u2", "u3")
    }
    created = {row["key"]: row["new"] for row in inbound.changes("assigned_resource_type")}[creation]
    assert (created["target_key"], created["provisioning_state"]) == ("u1", ProvisioningState.EXECUTED)


def test_what_a_base_must_hold_is_what_orders_write_and_what_their_links_lead_to(inbound: Inbound) -> None:
    assert [item.identifier for item in held_entity_types(*inbound.configuration)] == ["CRM_User", "CRM_Group"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"level": "many"}, "level: 'many' is no int32"),
        ({"level": "9999999999"}, "level: '9999999999' is no int32"),
        ({"active": "perhaps"}, "active: 'perhaps' is no bool"),
        ({"hired": "yesterday"}, "hired: 'yesterday' is no datetime"),
        ({"title": "Emperor"}, "title: 'Emperor' is none of its allowed values"),
        ({"id": None}, "id: the key of a CRM_User is empty"),
        ({"id": ""}, "id: the key of a CRM_User is empty"),
    ],
)
def test_a_value_that_its_property_does_not_take_is_refused(
    inbound: Inbound, values: dict[str, str | None], message: str
) -> None:
    bad = inbound.joiner(1, **({"id": "u1"} | values))
    inbound.joiner(2, id="u2", title="Clerk")
    inbound.fulfil()
    assert inbound.refusals() == {bad: ("InvalidValue", message)}
    assert inbound.commands() == {"u2": "insert"}


def test_a_key_never_changes(inbound: Inbound) -> None:
    change = inbound.owner(1)
    inbound.world.scalar(change, "id", "u9")
    inbound.fulfil()
    message = "id: 'u1' would become 'u9', and keys never change: set is_mapped: false on its rule"
    assert inbound.refusals() == {change: ("InvalidValue", message)}


def test_a_change_of_what_is_gone_is_refused_and_its_deletion_is_done(inbound: Inbound) -> None:
    change = inbound.owner(1, there=False)
    inbound.world.scalar(change, "title", "Head")
    inbound.owner(2, there=False, leaves=True)
    done = inbound.fulfil()
    assert (done.executed, done.errored) == (1, 1)
    assert inbound.refusals() == {change: ("ObjectMissing", "CRM_User u1 is not in the repository any more")}
    assert inbound.commands() == {}


def test_a_key_that_somebody_has_is_refused(inbound: Inbound) -> None:
    inbound.owner(1)
    bad = inbound.joiner(2, id="u1")
    inbound.fulfil()
    assert inbound.refusals() == {bad: ("ObjectExists", "id: 'u1' is that of CRM_User u1 already")}


def test_what_is_deleted_and_created_again_under_its_key_keeps_neither_values_nor_links(inbound: Inbound) -> None:
    inbound.owner(1, leaves=True, user_name="ada", title="Head")
    inbound.links = ((901, 501), (902, 501))
    inbound.world.link(inbound.joiner(2, id="u1", user_name="ben"), 902)
    done = inbound.fulfil()
    assert (done.executed, done.errored) == (2, 0)
    (row,) = inbound.changes("CRM_User")
    assert (row["command"], row["new"]["user_name"], row["new"]["title"]) == ("update", "ben", None)
    assert inbound.pairs() == {("delete", "g1", "u1"), ("insert", "g2", "u1")}


def test_a_second_link_where_one_is_allowed_is_refused_and_an_exchange_is_not(inbound: Inbound) -> None:
    inbound.association = ONE_GROUP
    inbound.links = ((901, 501), (901, 502))
    crowded = inbound.owner(1)
    inbound.world.link(crowded, 902)
    exchanged = inbound.owner(2)
    inbound.world.link(exchanged, 902)
    inbound.world.link(exchanged, 901, expected=False)
    both = inbound.joiner(3, id="u3")
    inbound.world.link(both, 901)
    inbound.world.link(both, 902)
    inbound.fulfil()
    message = "groups leads to one CRM_Group, and would to 2"
    assert inbound.refusals() == {crowded: ("Conflict", message), both: ("Conflict", message)}
    assert inbound.pairs() == {("insert", "g2", "u2"), ("delete", "g1", "u2")}


def test_a_creation_that_needs_a_refused_one_is_refused_with_it(inbound: Inbound) -> None:
    second = NOMINATIVE.model_copy(update={"identifier": "CRM_User_Second", "depends_on": NOMINATIVE.identifier})
    inbound.resource_types = (NOMINATIVE, second)
    first = inbound.joiner(1, id="u1", level="many")
    inbound.world.assign(1, resource_type="CRM_User_Second")
    inbound.world.scalar("CRM_User_Second|1", "id", "s1")
    inbound.fulfil()
    assert first in inbound.refusals()
    # A barrier kept the dependent order back before it could be refused.
    assert inbound.commands() == {}


names = st.sampled_from(["ada", "ben", "cy", "di", None, ""])
people = st.lists(st.tuples(names, st.sampled_from(["stays", "moves", "leaves", "joins"]), names), max_size=7)


@given(people)
@settings(max_examples=60, deadline=None, suppress_health_check=TOLERATED)
def test_whatever_the_orders_want_no_unique_value_stands_twice_and_none_is_refused_without_need(
    drawn: list[tuple[str | None, str, str | None]],
) -> None:
    before: dict[int, str | None] = {}
    with TemporaryDirectory() as folder:
        made = Inbound(world(Path(folder)))
        asked: dict[str, tuple[int, str | None]] = {}
        for number, (old, part, new) in enumerate(drawn, start=1):
            if part == "joins":
                asked[made.joiner(number, id=f"u{number}", user_name=new)] = (number, new)
                continue
            free = old not in before.values() or not old
            before[number] = old if free else None
            assignment = made.owner(number, leaves=part == "leaves", user_name=before[number])
            if part == "moves":
                made.world.scalar(assignment, "user_name", new)
                asked[assignment] = (number, new)
        made.fulfil()
        after = dict(before)
        for row in made.changes("CRM_User"):
            number = int(row["key"].removeprefix("u"))
            if row["command"] == "delete":
                del after[number]
            else:
                after[number] = row["new"]["user_name"]
        refused = made.refusals()
    taken = Counter(name for name in after.values() if name)
    assert not taken or max(taken.values()) == 1
    leavers = {number for number, (_, part, _) in enumerate(drawn, start=1) if part == "leaves"}
    assert not leavers & after.keys()
    for assignment, (number, new) in asked.items():
        if assignment not in refused:
            assert after[number] == new
            continue
        assert after.get(number) == before.get(number)
        # Somebody has it now, or others were refused for wanting it, too.
        assert new in taken or sum(wanted == new for _, wanted in asked.values()) > 1
