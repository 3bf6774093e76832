"""The organisation of these tests: three people, two groups, and accounts in every situation."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.policy.states import ProvisioningState, WorkflowState
from tests.unit.provisioning.system import System
from tests.unit.provisioning.world import World, world


@pytest.fixture
def empty(tmp_path: Path) -> World:
    return world(tmp_path)


@pytest.fixture
def organisation(empty: World) -> World:
    """Lamarr has no account yet, Hopper's name has changed and she leaves Sales, Turing has left."""
    lamarr = empty.add("HR_Person", employee_id="A17", last_name='Lamarr "Hedy" \\ é', start_date="2020-01-02")
    hopper = empty.add("HR_Person", employee_id="A18", last_name="Hopper")
    turing = empty.add("HR_Person", employee_id="A19", last_name="Turing")
    sales = empty.add("CRM_Group", id="g1", display_name="Sales")
    research = empty.add("CRM_Group", id="g2", display_name="Research")
    old = empty.add(
        "CRM_User", id="u2", user_name="gh", family_name="Hopper", title="", active=True, hired="2019-05-06"
    )
    left = empty.add("CRM_User", id="u3", user_name="at", active=False, level=4)

    creation = empty.assign(lamarr)
    empty.scalar(creation, "user_name", "hl")
    empty.scalar(creation, "family_name", 'Lamarr "Hedy" \\ é')
    empty.scalar(creation, "active", "true")
    empty.scalar(creation, "level", "7")
    empty.scalar(creation, "hired", "2020-01-02 00:00:00")
    empty.scalar(creation, "title", None)
    empty.link(creation, research)
    empty.link(creation, sales)

    change = empty.assign(hopper, state=ProvisioningState.VERIFIED, target_id=old, target_key="u2")
    empty.scalar(change, "user_name", "gh", ProvisioningState.VERIFIED)
    empty.scalar(change, "family_name", "Murray")
    empty.scalar(change, "title", None)
    empty.link(change, sales, expected=False)
    empty.link(change, research, ProvisioningState.VERIFIED)

    empty.assign(turing, workflow=WorkflowState.CANCELLATION, target_id=left, target_key="u3")
    empty.export()
    return empty


@pytest.fixture
def system() -> System:
    """What the CRM holds at the start."""
    return System(
        objects={
            "u2": {
                "id": "u2",
                "userName": "gh",
                "name.familyName": "Hopper",
                "title": "",
                "active": "true",
                "level": None,
                "hired": "06/05/2019",
            },
            "u3": {"id": "u3", "userName": "at", "active": "false", "level": "4"},
        },
        links={("g1", "u2"), ("g2", "u2")},
    )
