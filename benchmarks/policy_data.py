"""The data of the policy benchmark: people, their organizations, their accounts, and the rules between them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.data import write_table

DIFFERS_EVERY = 50
"""One account in so many has another title than the policy says: two in a hundred."""
ORGANIZATIONS, GROUPS = 1000, ("Staff", "Early")
MEASURE_QUERY_RULE = False
"""Whether the resource type has a query rule, too: the account's sponsor is the account with its owner's number."""

CONNECTOR = """
identifier: Bench
thresholds:
  maximum_inserted_lines: 0
  maximum_updated_lines: 0
  maximum_deleted_lines: 0
  maximum_link_inserted_lines: 0
  maximum_link_deleted_lines: 0
connections:
  - {identifier: People, package: csv, settings: {path: people.csv}}
  - {identifier: Organizations, package: csv, settings: {path: organizations.csv}}
  - {identifier: Accounts, package: csv, settings: {path: accounts.csv}}
  - {identifier: Groups, package: csv, settings: {path: groups.csv}}
  - {identifier: Members, package: csv, settings: {path: members.csv}}
entity_types:
  - identifier: Bench_Person
    connection_table: People
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: first_name}
      - {identifier: last_name}
      - {identifier: mail}
      - {identifier: title}
      - {identifier: phone}
      - {identifier: site}
      - {identifier: status}
      - {identifier: level, type: int32}
  - identifier: Bench_Organization
    connection_table: Organizations
    properties: [{identifier: code, primary_key: true}, {identifier: name}]
  - identifier: Bench_Account
    connection_table: Accounts
    properties:
      - {identifier: number, primary_key: true}
      - {identifier: external_id}
      - {identifier: given_name}
      - {identifier: family_name}
      - {identifier: display_name}
      - {identifier: user_name}
      - {identifier: mail}
      - {identifier: title}
      - {identifier: phone}
      - {identifier: department}
      - {identifier: active, type: bool}
      - {identifier: sponsor}
  - identifier: Bench_Group
    connection_table: Groups
    properties: [{identifier: name, primary_key: true}]
associations:
  - identifier: Bench_PersonOrganization
    connection_table: People
    end1: {entity_type: Bench_Person, navigation: organization, column: id}
    end2: {entity_type: Bench_Organization, navigation: people, collection: true, column: organization}
  - identifier: Bench_GroupMember
    connection_table: Members
    end1: {entity_type: Bench_Group, navigation: members, collection: true, column: group}
    end2: {entity_type: Bench_Account, navigation: groups, collection: true, column: account}
resource_types:
  - identifier: Bench_Account_Personal
    source_entity_type: Bench_Person
    target_entity_type: Bench_Account
    connection: Accounts
    block_provisioning: false
    type_rule: {condition: status = 'active'}
    correlation_rules: [{source_expression: id, target_expression: external_id}]
    scalar_rules:
      - {property: external_id, expression: id}
      - {property: given_name, expression: first_name}
      - {property: family_name, expression: upper(last_name)}
      - {property: display_name, expression: "first_name || ' ' || last_name"}
      - {property: user_name, expression: "split_part(mail, '@', 1)"}
      - {property: mail, expression: mail}
      - {property: title, expression: title}
      - {property: phone, expression: phone}
      - {property: department, expression: organization.name}
      - {property: active, expression: "status = 'active'"}
    navigation_rules:
      - {navigation: groups, target_property: name, target_value: Staff, condition: level < 5}
      - {navigation: groups, target_property: name, target_value: Early, condition: "organization.code < 'O00500'"}
"""


def write_configuration(folder: Path) -> None:
    """The connector with its resource type."""
    folder.mkdir(parents=True)
    (folder / "bench.yaml").write_text(CONNECTOR)


def write_raw(folder: Path, people: int, changed: int = 0) -> None:
    """Raw exports of everything; ``changed`` people, spread over all, have another title."""
    every = people // changed if changed else 0
    title = (
        f"CASE WHEN i % {every} = 0 THEN 'Changed' ELSE 'Title ' || i % 100 END" if changed else "'Title ' || i % 100"
    )
    organization = f"printf('O%05d', i % {ORGANIZATIONS})"
    numbers = f"range({people}) t(i)"
    write_table(folder, "People", f"""
        SELECT printf('E%08d', i) AS id, 'First' || i % 5000 AS first_name, 'last' || i % 70000 AS last_name,
            'user' || i || '@example.org' AS mail, {title} AS title, printf('+49 %08d', i) AS phone,
            'Site ' || i % 50 AS site, 'active' AS status, i % 10 AS level, {organization} AS organization
        FROM {numbers}
    """)  # fmt: skip
    write_table(folder, "Organizations", f"""
        SELECT printf('O%05d', i) AS code, 'Organization ' || i AS name FROM range({ORGANIZATIONS}) t(i)
    """)  # fmt: skip
    write_table(folder, "Accounts", f"""
        SELECT printf('A%08d', i) AS number, printf('E%08d', i) AS external_id, 'First' || i % 5000 AS given_name,
            'LAST' || i % 70000 AS family_name, 'First' || i % 5000 || ' last' || i % 70000 AS display_name,
            'user' || i AS user_name, 'user' || i || '@example.org' AS mail,
            CASE WHEN i % {DIFFERS_EVERY} = 7 THEN 'Other' ELSE 'Title ' || i % 100 END AS title,
            printf('+49 %08d', i) AS phone, 'Organization ' || i % {ORGANIZATIONS} AS department, 'true' AS active,
            NULL AS sponsor
        FROM {numbers}
    """)  # fmt: skip
    write_table(folder, "Groups", " UNION ALL ".join(f"SELECT '{group}' AS name" for group in GROUPS))
    write_table(folder, "Members", f"""
        SELECT 'Staff' AS "group", printf('A%08d', i) AS account FROM {numbers} WHERE i % 10 < 5
        UNION ALL
        SELECT 'Early', printf('A%08d', i) FROM {numbers} WHERE i % {ORGANIZATIONS} < {ORGANIZATIONS // 2}
    """)  # fmt: skip
