"""The expectations that an integrator may write, checked without loading Great Expectations.

Importing that library takes seconds, which a DAG file does not have. The table below is its 1.24.1, less
what it cannot carry out on DuckDB; a test compares the two.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from include.model.configuration import Connector, EntityType, Expectation

COLUMN_ARGUMENTS = ("column", "column_A", "column_B")
COLUMN_LIST_ARGUMENTS = ("column_list", "column_set")
SQL_ARGUMENTS = {"unexpected_rows_query": "", "row_condition": "SELECT "}
"""Arguments that hold SQL, and what makes a statement of them."""
ROWS = ("row_condition", "condition_parser")
BOUNDS = ("min_value", "max_value", "strict_min", "strict_max")

EXPECTATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "expect_column_distinct_values_to_be_in_set": (("column", "value_set"), (*ROWS,)),
    "expect_column_distinct_values_to_contain_set": (("column", "value_set"), (*ROWS,)),
    "expect_column_distinct_values_to_equal_set": (("column", "value_set"), (*ROWS,)),
    "expect_column_kl_divergence_to_be_less_than": (
        ("column",),
        (
            *ROWS,
            "partition_object",
            "threshold",
            "internal_weight_holdout",
            "tail_weight_holdout",
            "bucketize_data",
            "min_value",
            "max_value",
        ),
    ),
    "expect_column_max_to_be_between": (("column",), (*ROWS, *BOUNDS)),
    "expect_column_mean_to_be_between": (("column",), (*ROWS, *BOUNDS)),
    "expect_column_median_to_be_between": (("column",), (*ROWS, *BOUNDS)),
    "expect_column_min_to_be_between": (("column",), (*ROWS, *BOUNDS)),
    "expect_column_most_common_value_to_be_in_set": (("column", "value_set"), (*ROWS, "ties_okay")),
    "expect_column_pair_values_a_to_be_greater_than_b": (
        ("column_A", "column_B"),
        (*ROWS, "mostly", "or_equal", "ignore_row_if"),
    ),
    "expect_column_pair_values_to_be_equal": (("column_A", "column_B"), (*ROWS, "mostly", "ignore_row_if")),
    "expect_column_pair_values_to_be_in_set": (
        ("column_A", "column_B", "value_pairs_set"),
        (*ROWS, "mostly", "ignore_row_if"),
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": (("column",), (*ROWS, *BOUNDS)),
    "expect_column_proportion_of_unique_values_to_be_between": (("column",), (*ROWS, *BOUNDS)),
    "expect_column_quantile_values_to_be_between": (("column", "quantile_ranges"), (*ROWS, "allow_relative_error")),
    "expect_column_stdev_to_be_between": (("column",), (*ROWS, *BOUNDS)),
    "expect_column_sum_to_be_between": (("column",), (*ROWS, *BOUNDS)),
    "expect_column_to_exist": (("column",), ("column_index",)),
    "expect_column_type_to_be": (("column", "type_"), ()),
    "expect_column_unique_value_count_to_be_between": (("column",), (*ROWS, *BOUNDS)),
    "expect_column_value_lengths_to_be_between": (("column",), (*ROWS, *BOUNDS, "mostly")),
    "expect_column_value_lengths_to_equal": (("column", "value"), (*ROWS, "mostly")),
    "expect_column_value_z_scores_to_be_less_than": (("column", "threshold", "double_sided"), (*ROWS, "mostly")),
    "expect_column_values_to_be_between": (("column",), (*ROWS, *BOUNDS, "mostly")),
    "expect_column_values_to_be_in_set": (("column", "value_set"), (*ROWS, "mostly")),
    "expect_column_values_to_be_in_type_list": (("column",), (*ROWS, "mostly", "type_list")),
    "expect_column_values_to_be_null": (("column",), (*ROWS, "mostly")),
    "expect_column_values_to_be_of_type": (("column", "type_"), (*ROWS, "mostly")),
    "expect_column_values_to_be_unique": (("column",), (*ROWS, "mostly")),
    "expect_column_values_to_not_be_in_set": (("column", "value_set"), (*ROWS, "mostly")),
    "expect_column_values_to_not_be_null": (("column",), (*ROWS, "mostly")),
    "expect_compound_columns_to_be_unique": (("column_list",), (*ROWS, "mostly", "ignore_row_if")),
    "expect_multicolumn_sum_to_equal": (("column_list", "sum_total"), (*ROWS, "mostly", "ignore_row_if")),
    "expect_multicolumn_values_to_be_equal": (("column_list",), (*ROWS, "mostly", "ignore_row_if")),
    "expect_select_column_values_to_be_unique_within_record": (("column_list",), (*ROWS, "mostly", "ignore_row_if")),
    "expect_table_column_count_to_be_between": ((), ("min_value", "max_value")),
    "expect_table_column_count_to_equal": (("value",), ()),
    "expect_table_columns_to_match_ordered_list": ((), ("column_list",)),
    "expect_table_columns_to_match_set": ((), ("column_set", "exact_match")),
    "expect_table_row_count_to_be_between": ((), (*ROWS, *BOUNDS)),
    "expect_table_row_count_to_equal": (("value",), (*ROWS,)),
    "expect_table_row_count_to_equal_other_table": (("other_table_name",), (*ROWS,)),
    "unexpected_rows_expectation": (("unexpected_rows_query",), ()),
}
"""Required and optional arguments of every expectation that can be used."""

UNAVAILABLE = frozenset(
    {
        "expect_column_values_to_be_dateutil_parseable",
        "expect_column_values_to_be_decreasing",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_json_parseable",
        "expect_column_values_to_match_json_schema",
        "expect_column_values_to_match_like_pattern",
        "expect_column_values_to_match_like_pattern_list",
        "expect_column_values_to_match_regex",
        "expect_column_values_to_match_regex_list",
        "expect_column_values_to_match_strftime_format",
        "expect_column_values_to_not_be_outliers",
        "expect_column_values_to_not_match_like_pattern",
        "expect_column_values_to_not_match_like_pattern_list",
        "expect_column_values_to_not_match_regex",
        "expect_column_values_to_not_match_regex_list",
        "expect_query_results_to_match_comparison",
    }
)
"""What Great Expectations knows but cannot carry out on DuckDB."""


def expectation_mistakes(connector: Connector) -> Iterator[tuple[str, str]]:
    """Every mistake in the expectations of a connector: (path of the field, message)."""
    for position, entity_type in enumerate(connector.entity_types):
        for number, expectation in enumerate(entity_type.expectations):
            path = f"entity_types[{position}].expectations[{number}]"
            for field, message in mistakes(entity_type, expectation):
                yield f"{path}.{field}", message


def mistakes(entity_type: EntityType, expectation: Expectation) -> Iterator[tuple[str, str]]:
    """Every mistake of one expectation: (field, message)."""
    kind = expectation.expectation
    if kind not in EXPECTATIONS:
        yield "expectation", _unknown(kind)
        return
    required, optional = EXPECTATIONS[kind]
    for missing in [argument for argument in required if argument not in expectation.arguments]:
        yield "arguments", f"{kind} needs the argument '{missing}'"
    allowed = (*required, *optional)
    for argument in expectation.arguments:
        if argument not in allowed:
            near = difflib.get_close_matches(argument, allowed, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"its arguments are {', '.join(allowed)}"
            yield f"arguments.{argument}", f"{kind} has no argument '{argument}'; {hint}"
    yield from _unknown_columns(entity_type, expectation)


def _unknown(kind: str) -> str:
    if kind in UNAVAILABLE:
        return (
            f"{kind} is not available on DuckDB; use unexpected_rows_expectation, "
            "e.g. with unexpected_rows_query: SELECT * FROM {batch} WHERE NOT regexp_matches(mail, '@')"
        )
    near = difflib.get_close_matches(kind, EXPECTATIONS, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "see the gallery of Great Expectations"
    return f"unknown expectation '{kind}'; {hint}"


def _unknown_columns(entity_type: EntityType, expectation: Expectation) -> Iterator[tuple[str, str]]:
    """Columns of an expectation are columns of the clean table: properties that are not computed."""
    known = [item.identifier for item in entity_type.mapped_properties]
    computed = [item.identifier for item in entity_type.computed_properties]
    named: list[tuple[str, object]] = [
        (argument, expectation.arguments[argument])
        for argument in COLUMN_ARGUMENTS
        if argument in expectation.arguments
    ]
    for argument in COLUMN_LIST_ARGUMENTS:
        value = expectation.arguments.get(argument)
        if isinstance(value, list):
            named += [(argument, column) for column in value]
    if computed:
        named += _columns_in_sql(expectation, computed)
    for argument, column in named:
        if column in computed:
            yield (
                f"arguments.{argument}",
                f"'{column}' is computed later: name what it is computed from",
            )
        elif column not in known and expectation.expectation != "expect_column_to_exist":
            near = difflib.get_close_matches(str(column), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"its properties are {', '.join(known)}"
            yield f"arguments.{argument}", f"{entity_type.identifier} has no property '{column}'; {hint}"


def _columns_in_sql(expectation: Expectation, wanted: Sequence[str]) -> list[tuple[str, object]]:
    """Those of the wanted names that the SQL of an expectation uses as columns, by argument."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    found: list[tuple[str, object]] = []
    for argument, opening in SQL_ARGUMENTS.items():
        text = expectation.arguments.get(argument)
        if not isinstance(text, str):
            continue
        try:
            tree = sqlglot.parse_one(f"{opening}{text.replace('{batch}', 'batch')}", read="duckdb")
        except SqlglotError:
            # The check itself will say what cannot be read.
            continue
        used = {column.name.casefold() for column in tree.find_all(exp.Column)}
        found += [(argument, name) for name in wanted if name.casefold() in used]
    return found
