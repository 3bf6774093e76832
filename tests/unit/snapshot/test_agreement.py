"""The law of invariant 6: whatever mix of runs followed a source, the repository holds what complete runs give.

Out of the law, because no table of changes can say them:

* a line that was set aside by a run of changes holds the same for complete runs only where later changes
  give the whole line again, so a ``merge`` after it is out;
* a row that changes a key which an association uses while its line is set aside, and a text that is left
  behind by such a change;
* several links of an end that takes one, and a value that two rows share (``ambiguous_reference``);
* links while a line is set aside: a reference that does not resolve may mean it, and only a run that reads
  the whole table knows that the line is set aside still; once it can be read, the links agree again;
* what a complete run withheld or kept for missing rows (``on_missing``), until the next complete run.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.snapshot.source import TABLES, Memory, Source
from tests.unit.snapshot.steps import Step


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_mix_of_runs_ends_where_complete_runs_end(data: st.DataObject) -> None:
    source, spellings = Source.populated(), itertools.cycle(["one", "merge", "merge", "one", "merge"])
    with TemporaryDirectory() as folder:
        mixed, complete = Memory(Path(folder) / "mixed"), Memory(Path(folder) / "complete")
        mixed.follow(source, "run-0")
        complete.follow(source, "run-0")
        for number in range(1, data.draw(st.integers(2, 5))):
            before, source = source, source.copy()
            Step(data, source).happen()
            native = data.draw(st.sets(st.sampled_from(TABLES)))
            commands = {table: source.changes(table, before, spellings) for table in sorted(native)}
            mixed.follow(source, f"run-{number}", commands)
            complete.follow(source, f"run-{number}")
            assert mixed.rows == complete.rows
            if not source.set_aside:
                assert mixed.links == complete.links
            if data.draw(st.booleans()):
                again = mixed.follow(source, f"run-{number}-again", commands)
                assert not again.changed
        source.mend()
        for memory in (mixed, complete):
            memory.follow(source, "mended")
            assert not memory.follow(source, "last").changed
        assert mixed.rows == complete.rows
        assert mixed.links == complete.links
