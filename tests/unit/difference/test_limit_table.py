from __future__ import annotations

from include.difference.limit_table import COLUMNS, limit_rows, markdown_table, text_table
from include.difference.thresholds import LimitLine, Subject, Tally, check
from include.model.configuration import ConnectorThresholds

LINES = check([Subject("connector", "HR", Tally(1200, updated=61), ConnectorThresholds(), links=False)]).lines


def test_every_limit_has_a_row_and_what_blocks_stands_first() -> None:
    rows = limit_rows(LINES)
    assert len(rows) == len(LINES) == 6
    assert rows[0].cells == (
        "exceeded",
        "max_percentage_updated_lines",
        "connector HR",
        "5 %",
        "5.08 %",
        "61 updated of 1200 stored, limit 5 %",
    )
    assert [row.limit for row in rows[1:]] == [line.limit for line in LINES if not line.exceeded]


def test_the_log_has_one_aligned_line_per_limit() -> None:
    header, first, *others = text_table(LINES)
    assert len(others) == 5
    starts = [header.index("note"), first.index("61 updated"), *(line.index(" of 1200") for line in others)]
    assert starts[0] == starts[1]
    assert header.split() == list(COLUMNS)
    ends = {line.index(" %") for line in text_table(LINES) if " %  " in line}
    assert len(ends) == 1


def test_markdown_shows_what_a_source_wrote_and_nothing_else() -> None:
    hostile = LimitLine("table", "P", "header", 0, 1, exceeded=False, note="new a|b, **c**, _d_\n<b>, [x](y)")
    rows = markdown_table([hostile]).splitlines()
    assert len(rows) == 3
    assert rows[2] == r"| noted | header | table P |  | 1 | new a\|b, \*\*c\*\*, \_d\_ \<b\>, \[x\](y) |"
    assert "max_percentage_updated_lines" in markdown_table(LINES)
    assert markdown_table(LINES).splitlines()[2].startswith("| **exceeded** |")


def test_a_lifted_limit_stands_before_those_that_were_respected() -> None:
    lifted = [line.lift() for line in LINES]
    assert [row.state for row in limit_rows(lifted)] == ["lifted", *["respected"] * 5]
