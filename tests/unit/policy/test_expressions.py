"""What an expression may say, what it may not, and how it is told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.expressions.compilation import compile_expression
from include.expressions.errors import ExpressionMistake
from include.expressions.paths import EntityGraph, Scope
from include.model.configuration import Configuration
from include.model.resource_type import CorrelationRule, NavigationRule, ResourceType, ScalarRule, TypeRule
from include.policy.expressions import expression_mistakes
from include.policy.workspace import workspace
from include.storage.engine import engine
from include.storage.folder import Folder
from tests.unit.policy.organisation import NOW, configuration, nominative


def mistakes(resource_type: ResourceType) -> list[tuple[str, str]]:
    checked = configuration(resource_type)
    return list(expression_mistakes(checked.connectors[0], checked))


def title_mistake(expression: str) -> str | None:
    """What is wrong with an expression for a text property."""
    found = mistakes(nominative(scalar_rules=(ScalarRule(property="title", expression=expression),)))
    assert all(field == "resource_types[0].scalar_rules[0].expression" for field, _ in found)
    assert all("\n" not in message for _, message in found)
    return found[0][1] if found else None


@pytest.mark.parametrize(
    "expression",
    [
        "upper(last_name) || ' ' || first_name",
        "organization.code",
        "manager.organization.name",
        "manager.manager.manager.manager.organization.name",
        '"last_name"',
        "last_name -- the family name",
        "last_name /* family */ || first_name",
        "coalesce(title, 'none')",
        "CASE status WHEN 'active' THEN 'yes' ELSE 'no' END",
        "strftime(start_date + INTERVAL 1 DAY, '%Y-%m-%d')",
        "split_part(mail, '@', 1)",
        "regexp_replace(last_name, '[^a-z]', '', 'g')",
        "strftime(evaluated_at, '%Y')",
        "strftime(evaluated_at(), '%Y')",
        "to_first_name(first_name)",
        "title COLLATE NOCASE",
        "42",
        "NULL",
    ],
)
def test_a_scalar_expression_over_properties_and_links_is_accepted(expression: str) -> None:
    assert title_mistake(expression) is None


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("last_nam", "HR_Person has no property 'last_nam' (did you mean 'last_name'?)"),
        ("organisation.code", "HR_Person has no link 'organisation' (did you mean 'organization'?)"),
        ("organization.nam", "HR_Organization has no property 'nam' (did you mean 'name'?)"),
        (
            "organization",
            "'organization' is a link to HR_Organization: name one of its properties, such as organization.code",
        ),
        ("reports.title", "'reports' leads from one HR_Person to many HR_Person: a path crosses links to one only"),
        ("title.code", "'title' is a property of HR_Person, not a link: nothing can follow it"),
        ("uper(title)", "there is no function 'uper' (did you mean 'upper'?)"),
        ("now()::VARCHAR", "'now' differs from call to call: use evaluated_at, the instant of the run"),
        ("current_date::VARCHAR", "'current_date' differs from call to call: use evaluated_at, the instant of the run"),
        ("current_user", "'current_user' is a word of SQL: write a property of that name in double quotes"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_known_is_told_with_what_to_write(expression: str, message: str) -> None:
    assert title_mistake(expression) == message


@pytest.mark.parametrize(
    "expression",
    [
        "read_text('/etc/passwd')",
        "(SELECT content FROM read_text('/etc/passwd'))",
        "(FROM read_text('/etc/passwd'))",
        "title IN (SELECT content FROM read_text('/etc/passwd'))",
        "EXISTS (SELECT 1)",
        "CASE WHEN (SELECT true) THEN '' END",
        "title = ANY(['a'])",
        "title FROM read_csv('/etc/passwd')",
        "1) FROM (SELECT 1",
        "title) -- ",
        "title; COPY (SELECT 1) TO '/tmp/x'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "PRAGMA version",
        "pragma_version()",
        "CREATE MACRO f() AS 1",
        "ATTACH 'x.db'",
        "SET threads = 1",
        "SELECT 1",
        "title, mail",
        "(title, mail)",
        "title AS x",
        "*",
        "COLUMNS('.*')",
        "#1",
        "$1",
        "?",
        "count(title)",
        "max(title)",
        "row_number() OVER ()",
        "list_transform([title], lambda x: x)",
        "[x FOR x IN [title]]",
        "random()::VARCHAR",
        "uuid()::VARCHAR",
        "age(start_date)::VARCHAR",
        "current_setting('home_directory')",
        "getvariable('x')",
        "getenv('HOME')",
        "nextval('s')::VARCHAR",
        "query('SELECT 1')",
        "json_serialize_sql('SELECT 1')::VARCHAR",
        "sleep_ms(1)",
        "write_log('x')",
        "title.upper()",
        "main.upper(title)",
        "source.resource_id::VARCHAR",
        "resource_id::VARCHAR",
        " ",
        "title ||",
    ],
)
def test_what_is_no_pure_scalar_expression_is_refused(expression: str) -> None:
    assert title_mistake(expression)


@pytest.mark.parametrize(
    ("target", "expression", "message"),
    [
        ("active", "status = 'active'", None),
        ("active", "status", "it gives VARCHAR, but active is bool: compare, such as status = 'active'"),
        ("title", "status = 'active'", "it gives BOOLEAN, but title is string: say which words, such as CASE"),
        ("title", "start_date", "it gives TIMESTAMP, but title is string: say in which form, such as strftime("),
        ("since", "start_date", None),
        ("since", "title", "it gives VARCHAR, but since is datetime: read it, such as try_strptime("),
        ("level", "length(title)", None),
        ("level", "title", "it gives VARCHAR, but level is int32: cast it, such as try_cast("),
        ("level", "1.5", "it gives DECIMAL(2,1), but level is int32"),
        ("title", "upper(start_date)", "No function matches"),
        ("titel", "title", "CRM_User has no property 'titel' (did you mean 'title'?)"),
    ],
)
def test_a_value_has_the_type_of_its_property(target: str, expression: str, message: str | None) -> None:
    found = mistakes(nominative(scalar_rules=(ScalarRule(property=target, expression=expression),)))
    assert [text.startswith(message) for _, text in found] == ([True] if message else []), found


def test_conditions_are_boolean_and_every_mistake_is_found_at_its_place() -> None:
    broken = nominative(
        type_rule=TypeRule(condition="status"),
        correlation_rules=(
            CorrelationRule(source_expression="employee_id", target_expression="level"),
            CorrelationRule(source_expression="employee_id", target_expression="externalid"),
        ),
        scalar_rules=(ScalarRule(property="title", expression="title"), ScalarRule(property="mail", expression="mial")),
        navigation_rules=(
            NavigationRule(navigation="group", target_property="display_name", target_value="x", condition="title"),
            NavigationRule(navigation="groups", target_property="displayname", target_value="x"),
        ),
    )
    found = dict(mistakes(broken))
    assert set(found) == {
        "resource_types[0].type_rule.condition",
        "resource_types[0].correlation_rules[0].source_expression",
        "resource_types[0].correlation_rules[1].target_expression",
        "resource_types[0].scalar_rules[1].expression",
        "resource_types[0].navigation_rules[0].navigation",
        "resource_types[0].navigation_rules[0].condition",
        "resource_types[0].navigation_rules[1].target_property",
    }
    assert (
        "VARCHAR here, INTEGER in target_expression"
        in found["resource_types[0].correlation_rules[0].source_expression"]
    )
    assert (
        found["resource_types[0].navigation_rules[0].navigation"]
        == "CRM_User has no link 'group' (did you mean 'groups'?)"
    )


def test_a_connector_that_is_not_in_the_configuration_yet_is_checked_with_its_own_entity_types() -> None:
    connector = configuration(nominative()).connectors[0]
    assert list(expression_mistakes(connector, Configuration())) == []


def test_a_resource_type_with_unknown_entity_types_is_left_to_the_loader() -> None:
    assert mistakes(nominative(source_entity_type="Nothing")) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "COPY (SELECT 1) TO '/tmp/rollcall-escape.csv'",
        "ATTACH '/tmp/rollcall-escape.db' AS escape",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET allowed_directories = ['/']",
        "SELECT * FROM read_parquet('{run}/base/../../secret.parquet')",
    ],
)
def test_the_evaluating_duckdb_cannot_leave_the_folders_of_the_run(tmp_path: Path, statement: str) -> None:
    import duckdb

    run = Folder((tmp_path / "run").as_uri())
    run.child("base").make()
    with engine() as connection:
        connection.execute(f"COPY (SELECT 1) TO '{tmp_path}/secret.parquet' (FORMAT parquet)")
        connection.execute(f"COPY (SELECT 1) TO '{tmp_path}/run/base/known.parquet' (FORMAT parquet)")
    with workspace(run, EntityGraph.of(configuration()), NOW) as space:
        assert space.rows(f"FROM read_parquet('{tmp_path}/run/base/known.parquet')") == [(1,)]
        with pytest.raises(duckdb.Error):
            space.execute(statement.format(run=run.path))


def test_a_refused_expression_is_refused_at_evaluation_too(tmp_path: Path) -> None:
    run = Folder(tmp_path.as_uri())
    graph = EntityGraph.of(configuration())
    with workspace(run, graph, datetime.now(UTC)) as space, pytest.raises(ExpressionMistake):
        compile_expression(space.connection, "read_text('/etc/passwd')", Scope(graph, "HR_Person"))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("start_date", None),
        ("CAST(start_date AS DATE)", None),
        (
            "title",
            "it must be a DATE or a TIMESTAMP, this is VARCHAR: read it, such as try_strptime(..., '%Y-%m-%d')",
        ),
        ("hired", "HR_Person has no property 'hired'"),
    ],
)
@pytest.mark.parametrize("end", ["start", "end"])
def test_a_period_is_between_instants(end: str, expression: str, message: str | None) -> None:
    found = mistakes(nominative(type_rule=TypeRule.model_validate({end: expression})))
    assert found == ([(f"resource_types[0].type_rule.{end}", message)] if message else [])
