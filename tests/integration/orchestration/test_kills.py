"""Kill any task at any instant, run it again: the end state is that of an undisturbed run (invariant 7).

A few kills per database; ``make crash N=200`` goes on for longer, from another seed each time.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.play import landed
from tests.crash.trial import Database, run_trial

SEED = 11
DAYS = ("initial", "changes", "approved", "rejected")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_steps_killed_at_random_instants_end_like_undisturbed_ones(
    database: Database, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    server = request.getfixturevalue("postgresql") if database == "postgresql" else None
    trial = run_trial(database, tmp_path, kills=10, seed=SEED, server=server, days=DAYS)
    assert trial.landed >= 10
    assert len(landed(trial.kills)) > 3
