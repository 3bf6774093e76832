"""What an expression is compiled to, and the functions that it may call."""

from __future__ import annotations

from datetime import datetime

from include.expressions.compilation import compile_expression
from include.expressions.functions import install, other_functions, scalar_functions
from include.expressions.paths import EntityGraph, Scope
from include.storage.engine import engine
from tests.unit.policy.organisation import configuration


def test_no_function_that_reads_the_clock_or_a_file_is_allowed() -> None:
    forbidden = {
        "now",
        "today",
        "random",
        "uuid",
        "read_text",
        "read_csv",
        "glob",
        "current_setting",
        "getvariable",
        "age",
    }
    assert not forbidden & scalar_functions()
    assert {"upper", "coalesce", "concat", "strptime", "||"} - scalar_functions() == {
        "coalesce"
    }  # coalesce is no function
    assert {"count", "read_text", "random"} <= other_functions()


def test_evaluated_at_is_the_instant_of_the_run_in_utc() -> None:
    with engine() as connection:
        install(connection, datetime.fromisoformat("2024-06-01T14:00:00+02:00"))
        assert connection.execute("SELECT evaluated_at()").fetchone() == (datetime(2024, 6, 1, 12, 0),)


def test_the_text_of_an_expression_is_kept_as_it_was_written() -> None:
    graph = EntityGraph.of(configuration())
    scope = Scope(graph, "HR_Person")
    with engine() as connection:
        compiled = compile_expression(connection, "ifnull(title, 'é') || manager.title || \"mail\"", scope)
    assert compiled == '(ifnull(source."title", \'é\') || linked0."title" || source."mail"\n)'


def test_a_property_named_evaluated_at_wins_over_the_instant() -> None:
    graph = EntityGraph.of(configuration())
    person = graph.entity_types["HR_Person"]
    renamed = person.model_copy(
        update={
            "properties": (*person.properties, person.properties[1].model_copy(update={"identifier": "evaluated_at"}))
        }
    )
    scope = Scope(EntityGraph({"HR_Person": renamed}, {"HR_Person": {}}), "HR_Person")
    with engine() as connection:
        assert compile_expression(connection, "evaluated_at", scope) == '(source."evaluated_at"\n)'
