"""How a folder becomes a configuration: which files, under which names, with how much work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from include.model import loader, positions
from include.model.configuration import Configuration
from include.model.environment import configuration_folder, project_root, repository_url, storage_url
from include.model.loader import load_configuration
from tests.unit.model.conftest import Edit
from tests.unit.model.packages import settings_model

ONE = "identifier: {name}\nconnections: [{{identifier: A, package: csv, settings: {{path: a}}}}]\n"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_yaml_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, b__yaml=ONE.format(name="B"), a__yml=ONE.format(name="C"), c__yaml=ONE.format(name="A"))
    write(tmp_path, readme__md="identifier: [", __lock__yaml="identifier: [")
    (tmp_path / "folder.yaml").mkdir()
    configuration = load_configuration(tmp_path)
    assert [item.identifier for item in configuration.connectors] == ["C", "B", "A"]
    assert configuration.broken == ()
    assert configuration.folder == str(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="create it, or name another in ROLLCALL_CONFIG"):
        load_configuration(tmp_path / "nowhere")


def test_an_empty_folder_is_an_empty_configuration(tmp_path: Path) -> None:
    assert load_configuration(tmp_path).connectors == ()


def test_the_version_follows_names_and_bytes(folder: Path, edit: Edit) -> None:
    versions = [load_configuration(folder).version, load_configuration(folder).version]
    edit("hr.yaml", "# An", "# Our")
    versions.append(load_configuration(folder).version)
    (folder / "hr.yaml").rename(folder / "people.yaml")
    versions.append(load_configuration(folder).version)
    (folder / "broken.yaml").write_text("identifier: [")
    versions.append(load_configuration(folder).version)
    assert versions[0] == versions[1]
    assert len(set(versions)) == 4
    assert all(len(version) == 64 for version in versions)


def test_the_version_tells_apart_what_names_and_contents_join_to(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    write(first, a__yaml="b.yaml", b__yaml="")
    write(second, a__yaml="", b__yaml="b.yaml")
    assert load_configuration(first).version != load_configuration(second).version


@pytest.mark.parametrize(
    ("file", "text", "identifier"),
    [
        ("crm.yaml", "identifier: CRM\n", "CRM"),
        ("crm.yaml", "identifer: CRM\n", "crm"),
        ("crm.yaml", "identifer: CRM\nconnections: [{identifier: A, package: csv}]\n", "CRM"),
        ("crm.yaml", "identifier: [\n", "crm"),
        ("crm.yaml", "identifier: C R M\n", "crm"),
        ("crm.yaml", f"identifier: {'C' * 64}\n", "crm"),
        ("crm.yaml", "connections: [{identifier: A, package: csv}]\n", "crm"),
        ("2nd crm.prod.yaml", "identifier: [\n", "Connector_2nd_crm_prod"),
        (f"{'c' * 80}.yaml", "identifier: [\n", "c" * 63),
    ],
)
def test_the_name_of_a_broken_connector(file: str, text: str, identifier: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(text)
    assert [(item.identifier, item.file) for item in load_configuration(tmp_path).broken] == [(identifier, file)]


def test_broken_connectors_never_take_a_name_that_is_in_use(tmp_path: Path) -> None:
    write(tmp_path, a__yaml=ONE.format(name="CRM"), crm__yaml=ONE.format(name="CRM"), crm__yml="identifier: [")
    configuration = load_configuration(tmp_path)
    assert [item.identifier for item in configuration.connectors] == ["CRM"]
    assert [item.identifier for item in configuration.broken] == ["crm_2", "crm_3"]


def _hundred(folder: Path, count: int) -> Path:
    folder.mkdir()
    sample = (Path(__file__).parent / "samples" / "hr.yaml").read_text()
    for number in range(count):
        text = sample.replace("HR_", f"HR{number}_").replace("identifier: HR\n", f"identifier: HR{number}\n")
        (folder / f"hr{number:03}.yaml").write_text(text)
    return folder


def _calls(action: Callable[[], object]) -> int:
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


def test_work_grows_with_the_number_of_files_and_no_faster(tmp_path: Path) -> None:
    few, many = _hundred(tmp_path / "few", 10), _hundred(tmp_path / "many", 80)
    load_configuration(few, settings_model=settings_model)
    small = _calls(lambda: load_configuration(few, settings_model=settings_model))
    large = _calls(lambda: load_configuration(many, settings_model=settings_model))
    assert large < 8.5 * small
    # 51 lines a file: a handful of calls each, not hundreds.
    assert large < 80 * 51 * 40


def test_valid_files_are_parsed_once_and_never_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _hundred(tmp_path / "many", 20)
    parsed: list[bytes] = []
    searched: list[str] = []

    def read(content: bytes) -> positions.Document:
        parsed.append(content)
        return positions.read_document(content)

    monkeypatch.setattr("include.model.connector_file.read_document", read)
    monkeypatch.setattr("include.model.names.difflib.get_close_matches", lambda word, *_, **__: searched.append(word))
    monkeypatch.setattr(positions.Document, "line", lambda *_: searched.append("line"))
    configuration = loader.load_configuration(folder, settings_model=settings_model)
    assert len(configuration.connectors) == len(parsed) == 20
    assert searched == []


def test_loading_imports_nothing_heavy(folder: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from include.model.loader import load_configuration
assert len(load_configuration(Path({str(folder)!r})).connectors) == 2
heavy = {{"duckdb", "pandas", "pyarrow", "sqlalchemy", "airflow", "sqlglot", "ruamel.yaml", "connectors"}}
print(sorted(heavy & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=project_root())
    assert run.stdout == "[]\n"


def test_where_things_are_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROLLCALL_CONFIG", "ROLLCALL_STORAGE", "ROLLCALL_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    root = project_root()
    assert (root / "include" / "model").is_dir()
    assert configuration_folder() == root / "include" / "demo" / "configuration"
    assert storage_url() == f"file://{root}/.rollcall/storage"
    assert repository_url() == f"sqlite:///{root}/.rollcall/repository.db"


def test_where_the_environment_says_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROLLCALL_CONFIG", str(tmp_path))
    monkeypatch.setenv("ROLLCALL_STORAGE", "s3://rollcall/runs")
    monkeypatch.setenv("ROLLCALL_REPOSITORY", "postgresql+psycopg://rollcall@db/rollcall")
    assert configuration_folder() == tmp_path
    assert storage_url() == "s3://rollcall/runs"
    assert repository_url() == "postgresql+psycopg://rollcall@db/rollcall"
    monkeypatch.setenv("ROLLCALL_CONFIG", "configuration")
    assert configuration_folder() == project_root() / "configuration"
    monkeypatch.setenv("ROLLCALL_CONFIG", "")
    assert configuration_folder() == project_root() / "include" / "demo" / "configuration"


def test_a_configuration_finds_what_it_holds(load: Callable[[], Configuration]) -> None:
    configuration = load()
    connector = configuration.connector("CRM")
    assert connector is not None
    assert configuration.connector_of("CRM_Group") is connector
    group = configuration.entity_type("CRM_Group")
    assert group is not None
    assert group.primary_key.identifier == "id"
    assert [item.identifier for item in configuration.associations()] == ["CRM_GroupMember", "HR_PersonOrganization"]
    assert configuration.connector("ERP") is None
