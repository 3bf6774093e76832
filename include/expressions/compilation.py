"""An integrator's expression as SQL that can do nothing but compute a value.

sqlglot finds the columns, and each becomes a column of the scope; the rest of the text stays as it was
written. What comes out is then judged by DuckDB's own parser: only nodes of scalar expressions, only
functions of the allow-list, only columns that the first step put there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from include.expressions.errors import ExpressionMistake, first_line, near_miss
from include.expressions.functions import CLOCK_FUNCTIONS, EVALUATED_AT, other_functions, scalar_functions
from include.expressions.paths import Scope
from include.expressions.predefined import ZONED_FUNCTIONS, time_zones
from include.storage.engine import literal

if TYPE_CHECKING:
    import duckdb
    from sqlglot import exp

_OPENING = "SELECT (\n"
_SCALAR_NODES = frozenset(
    {
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "OPERATOR",
    }
)
_REFUSED_NODES = {
    "SUBQUERY": "a subquery cannot stand in an expression: follow a link, such as organization.name",
    "STAR": "'*' cannot stand in an expression: name one property",
    "WINDOW": "a window function looks at other rows: an expression sees one resource and its links",
    "LAMBDA": "a lambda cannot stand in an expression",
    "PARAMETER": "a parameter cannot stand in an expression: write the value",
}
_NOT_ONE_VALUE = "it must be one scalar expression, such as upper(last_name)"


def note_reads(text: str, scope: Scope) -> None:
    """Note in the scope what an expression reads: its columns and the links that lead to them.

    Raises:
        ExpressionMistake: the text is no expression, or names what is not there.
    """
    _rewrite(text, scope)


def column_paths(text: str) -> list[list[str]]:
    """The path of every column reference of an expression, in order of the text.

    Raises:
        ExpressionMistake: the text is no expression.
    """
    return [path for _, _, path in sorted(_columns(_parse_value(text)))]


def compile_expressions(
    connection: duckdb.DuckDBPyConnection, expressions: Sequence[tuple[str, Scope]]
) -> list[str | ExpressionMistake]:
    """The SQL of each expression in its scope, or what is wrong with it.

    All are judged in one call of DuckDB's parser.
    """
    compiled: list[str | ExpressionMistake] = []
    for text, scope in expressions:
        try:
            compiled.append(_rewrite(text, scope))
        except ExpressionMistake as mistake:
            compiled.append(mistake)
    good = [position for position, item in enumerate(compiled) if isinstance(item, str)]
    trees = _parse(connection, [str(compiled[position]) for position in good])
    for position, tree in zip(good, trees, strict=True):
        refusal = tree if isinstance(tree, str) else _refusal(tree, expressions[position][1])
        if refusal:
            compiled[position] = ExpressionMistake(refusal)
    return compiled


def compile_expression(connection: duckdb.DuckDBPyConnection, text: str, scope: Scope) -> str:
    """The SQL of one expression.

    Raises:
        ExpressionMistake: the text is no scalar expression over the scope.
    """
    (compiled,) = compile_expressions(connection, [(text, scope)])
    if isinstance(compiled, ExpressionMistake):
        raise compiled
    return compiled


def _rewrite(text: str, scope: Scope) -> str:
    """The text with every column replaced by a column of the scope."""
    pieces, end = [], 0
    for start, stop, path in sorted(_columns(_parse_value(text))):
        if path == [EVALUATED_AT] and scope.graph.entity_types[scope.entity_type].find(EVALUATED_AT) is None:
            column = f"{EVALUATED_AT}()"
        else:
            column = scope.column(path)
        pieces += [text[end:start], column]
        end = stop
    # The line feed closes a comment at the end of the text.
    return "(" + "".join([*pieces, text[end:]]) + "\n)"


def _parse_value(text: str) -> exp.Expression:
    """The parsed expression; positions in it count from the start of ``text``."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = sqlglot.parse(f"{_OPENING}{text}\n)", read="duckdb")
    except SqlglotError as error:
        raise ExpressionMistake(f"it cannot be read: {_syntax(error, text)}") from error
    statement = statements[0] if len(statements) == 1 else None
    if not isinstance(statement, exp.Select) or any(
        value for key, value in statement.args.items() if key not in {"expressions", "kind"}
    ):
        raise ExpressionMistake(_NOT_ONE_VALUE)
    values = statement.expressions
    if len(values) != 1:
        raise ExpressionMistake(_NOT_ONE_VALUE)
    if isinstance(values[0], exp.Subquery):
        raise ExpressionMistake(_REFUSED_NODES["SUBQUERY"])
    if not isinstance(values[0], exp.Paren):
        raise ExpressionMistake(_NOT_ONE_VALUE)
    return values[0]


def _syntax(error: Exception, text: str) -> str:
    details = getattr(error, "errors", None) or [{}]
    near = str(details[0].get("highlight") or "").strip()
    return f"mind the text near '{near}'" if near and near in text else "check its parentheses and quotes"


def _columns(tree: exp.Expression) -> Iterator[tuple[int, int, list[str]]]:
    """Every column reference: where it starts and stops in the text, and its path."""
    from sqlglot import exp

    for column in tree.find_all(exp.Column):
        if isinstance(column.this, exp.Star):
            raise ExpressionMistake(_REFUSED_NODES["STAR"])
        parts = list(column.parts)
        # sqlglot reads four steps as a column, and further ones as dots around it.
        around: exp.Expression = column
        while isinstance(around.parent, exp.Dot) and isinstance(around.parent.expression, exp.Identifier):
            around = around.parent
            parts.append(around.expression)
        if any("start" not in part.meta for part in parts):
            raise ExpressionMistake(_NOT_ONE_VALUE)
        yield (
            parts[0].meta["start"] - len(_OPENING),
            parts[-1].meta["end"] + 1 - len(_OPENING),
            [part.name for part in parts],
        )


def _parse(connection: duckdb.DuckDBPyConnection, expressions: Sequence[str]) -> list[dict[str, Any] | str]:
    """DuckDB's syntax tree of each expression, or why it has none."""
    if not expressions:
        return []
    # A literal and not a parameter: for parameters DuckDB imports pandas, and DAG files are parsed with this.
    statement = literal("SELECT " + ", ".join(expressions))
    (text,) = connection.execute(f"SELECT CAST(json_serialize_sql({statement}) AS VARCHAR)").fetchone() or ("",)
    answer = json.loads(text)
    if not answer["error"]:
        trees = answer["statements"][0]["node"].get("select_list", [])
        if len(answer["statements"]) == 1 and len(trees) == len(expressions):
            return list(trees)
    if len(expressions) == 1:
        message = answer.get("error_message")
        return [f"it cannot be read: {message.splitlines()[0]}" if message else _NOT_ONE_VALUE]
    return [tree for expression in expressions for tree in _parse(connection, [expression])]


def _refusal(tree: dict[str, Any], scope: Scope) -> str | None:
    """Why a tree is no scalar expression over the scope, or None."""
    for node in _nodes(tree):
        kind = node["class"]
        if kind not in _SCALAR_NODES:
            return _REFUSED_NODES.get(kind, f"{_NOT_ONE_VALUE}; {kind.lower()} cannot stand in it")
        if kind == "FUNCTION" and (refusal := _refused_function(node, scope) or _refused_argument(node)):
            return refusal
        if kind == "COLUMN_REF" and not _is_ours(node["column_names"], scope):
            return _refused_word(node["column_names"], scope)
    return None


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        for child in tree.values():
            yield from _nodes(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from _nodes(child)


def _is_ours(parts: list[str], scope: Scope) -> bool:
    return len(parts) == 2 and parts[0] in scope.aliases  # noqa: PLR2004 - alias and property


def _refused_function(node: dict[str, Any], scope: Scope) -> str | None:
    function = str(node["function_name"]).lower()
    if node.get("schema") or node.get("catalog"):
        # DuckDB reads last_name.upper() as a call with a schema, and finds the column by itself.
        return f"write {function}(...) with its argument in parentheses, without a dot before it"
    if function in CLOCK_FUNCTIONS or (function == EVALUATED_AT and scope.timeless):
        return _refused_clock(function, scope)
    if function in scalar_functions():
        return None
    if function in other_functions():
        return f"an expression may not call '{function}': only functions whose value follows from their arguments"
    return f"there is no function '{function}'{near_miss(function, sorted(scalar_functions()))}"


def _refused_argument(node: dict[str, Any]) -> str | None:
    """A constant time zone or format that the function cannot use: DuckDB tells only on the data."""
    function = str(node["function_name"]).lower()
    zoned = ZONED_FUNCTIONS.get(function)
    if zoned is None:
        return None
    values = [_constant(child) for child in node["children"]]
    zone = values[zoned.zone] if len(values) > zoned.zone else None
    if zone is not None and zone.lower() not in {item.lower() for item in time_zones()}:
        return f"there is no time zone '{zone}': write one such as Europe/Paris{near_miss(zone, sorted(time_zones()))}"
    format_ = values[zoned.parsed_format] if zoned.parsed_format and len(values) > zoned.parsed_format else None
    if format_ is not None and "%z" in format_.lower():
        return f"a text with an offset ({format_}) needs no time zone: use {function.replace('local', 'universal')}"
    return None


def _constant(node: dict[str, Any]) -> str | None:
    """The text of a constant; None for anything else."""
    value = node.get("value", {}).get("value") if node["class"] == "CONSTANT" else None
    return value if isinstance(value, str) else None


def _refused_clock(word: str, scope: Scope) -> str:
    if scope.timeless:
        return f"'{word}' changes by itself, and with it the value, at every run: compare with the clock in a rule"
    return f"'{word}' differs from call to call: use evaluated_at, the instant of the run"


def _refused_word(parts: list[str], scope: Scope) -> str:
    word = ".".join(parts)
    if word.lower() in CLOCK_FUNCTIONS:
        return _refused_clock(word, scope)
    return f"'{word}' is a word of SQL: write a property of that name in double quotes"


def bind(connection: duckdb.DuckDBPyConnection, expressions: Sequence[str], from_clause: str) -> list[str]:
    """The DuckDB type of each compiled expression over a FROM clause; nothing is read.

    Raises:
        ExpressionMistake: DuckDB cannot bind one of them.
    """
    import duckdb

    fields = ", ".join(f"{expression} AS value{position}" for position, expression in enumerate(expressions))
    try:
        return [str(row[1]) for row in connection.execute(f"DESCRIBE SELECT {fields} FROM {from_clause}").fetchall()]
    except duckdb.Error as error:
        raise ExpressionMistake(first_line(error)) from error
