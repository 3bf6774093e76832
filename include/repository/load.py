"""Load one run's changes: versions, links, cookies, snapshot and audit entry, in one transaction.

Either all of it is there afterwards or nothing is, and a second call with the same ``load_key`` only
reads what the first one did.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.model.configuration import Association, EntityType
from include.repository import audit, snapshots
from include.repository.database import Database
from include.repository.errors import RepositoryError, StaleBase
from include.repository.instants import now
from include.repository.ledger import COOKIE, LOAD, RUN
from include.repository.links import apply_links
from include.repository.loading import Loading, Stamp
from include.repository.resources import apply_resources, zero_counts
from include.repository.runs import OPEN_STATES, PIPELINE, hold_open
from include.repository.session import Session, take
from include.repository.tables import Schema
from include.storage.engine import engine, literal
from include.storage.folder import Folder, text_sha256

if TYPE_CHECKING:
    import duckdb

Counts = dict[str, dict[str, int]]
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What to load.

    Attributes:
        load_key: names the load for ever; the same key is never loaded twice.
        changes: the folder of ``<entity type>.parquet`` and ``<association>.parquet``; one that is missing
            holds no change.
        base_load: the connector's last load that the changes were computed against; None does not check.
        skip_deletions: apply all but the deletions of resources and links.
        cookies: per connection, the position from which the next incremental export reads.
        manifest: gives the manifest to publish as this connector's snapshot; asked once everything is applied,
            so that it may be made meanwhile. It must not use the repository.
        actor: who let it through: ``pipeline``, or the person who approved.
        detail: recorded on the audit trail with the load.
    """

    load_key: str
    run_id: str
    connector: str
    changes: Folder
    entity_types: Sequence[EntityType]
    associations: Sequence[Association]
    base_load: int | None
    skip_deletions: bool = False
    cookies: Mapping[str, str] = field(default_factory=dict)
    manifest: Callable[[], str] | None = None
    actor: str = PIPELINE
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What was applied. ``associations`` counts the links that ended with their resources too."""

    load_id: int
    loaded_at: datetime
    entity_types: Counts
    associations: Counts
    already_loaded: bool


def load(database: Database, schema: Schema, request: LoadRequest) -> LoadResult:
    """Apply the changes of a request, exactly once.

    Raises:
        RunEnded: the run is a synchronization that has ended, as when another took its place.
        StaleBase: the repository has moved on since the changes were computed.
        RepositoryLocked: another load holds the repository for too long.
        RepositoryError: the changes cannot be read or stored. Nothing is changed in any of these cases.
    """
    with engine(request.changes) as duck:
        if not _changes(duck, request):
            # Most runs change nothing: they need no Arrow, whose libraries take half a second to import.
            with database.write() as session:
                return _load(session, request, lambda stamp: _result(request, stamp))
        with database.bulk(writes=True) as bulk:
            return _load(
                bulk, request, lambda stamp: _apply(Loading(bulk, duck, schema, stamp, request.skip_deletions), request)
            )


def _load(session: Session, request: LoadRequest, apply: Callable[[Stamp], LoadResult]) -> LoadResult:
    load_id = take(session, "load")
    recorded = find_load(session, request.load_key)
    if recorded:
        session.rollback()
        return recorded
    hold_open(session, request.run_id)
    _check_base(session, request)
    _check_folder(request)
    result = apply(Stamp(load_id, _next_instant(session)))
    _record(session, request, result)
    return result


def last_load(session: Session, connector: str) -> int:
    """The number of a connector's last load; 0 when there was none."""
    query = sa.select(LOAD.c.load_id).where(LOAD.c.connector == connector)
    found = session.rows(query.order_by(LOAD.c.load_id.desc()).limit(1))
    return int(found[0][0]) if found else 0


def last_loaded_at(session: Session, connector: str) -> datetime | None:
    """The instant (UTC) of a connector's last load; None when there was none."""
    query = sa.select(LOAD.c.loaded_at).where(LOAD.c.connector == connector)
    found = session.rows(query.order_by(LOAD.c.load_id.desc()).limit(1))
    return found[0][0] if found else None


def newest_load(session: Session) -> int:
    """The number of the last load of all connectors; 0 when there was none."""
    found = session.rows(sa.select(LOAD.c.load_id).order_by(LOAD.c.load_id.desc()).limit(1))
    return int(found[0][0]) if found else 0


def find_load(session: Session, load_key: str) -> LoadResult | None:
    """The recorded result of a load."""
    query = sa.select(LOAD.c.load_id, LOAD.c.loaded_at, LOAD.c.counters).where(LOAD.c.load_key == load_key)
    found = session.rows(query)
    if not found:
        return None
    load_id, loaded_at, counters = found[0]
    return LoadResult(load_id, loaded_at, **json.loads(counters), already_loaded=True)


def loads_of(session: Session, run_id: str) -> list[str]:
    """The keys of a run's loads, in order."""
    query = sa.select(LOAD.c.load_key).where(LOAD.c.run_id == run_id).order_by(LOAD.c.load_id)
    return [str(row[0]) for row in session.rows(query)]


def cookies(session: Session, connector: str) -> dict[str, str]:
    """The newest cookie of each connection of a connector."""
    query = sa.select(COOKIE.c.connection, COOKIE.c.cookie).where(COOKIE.c.connector == connector)
    return dict(session.rows(query.order_by(COOKIE.c.load_id)))


def _check_base(session: Session, request: LoadRequest) -> None:
    if request.base_load is None:
        return
    last = last_load(session, request.connector)
    if last != request.base_load:
        raise StaleBase(
            f"{request.connector}: the repository has moved on since this run compared "
            f"(load {request.base_load}, now {last}): start a new run"
        )


def _next_instant(session: Session) -> datetime:
    """Now, but always later than the last load: versions must never share an instant."""
    last = session.rows(sa.select(LOAD.c.loaded_at).order_by(LOAD.c.load_id.desc()).limit(1))
    return max(now(), last[0][0] + TICK) if last else now()


def _changes(duck: duckdb.DuckDBPyConnection, request: LoadRequest) -> int:
    """How many lines of changes there are."""
    import duckdb as engine_library

    files = [file for item in _items(request) if (file := _changes_file(request, item))]
    try:
        return sum(
            int(count)
            for file in files
            for (count,) in duck.execute(f"SELECT count(*) FROM read_parquet({literal(file)})").fetchall()
        )
    except engine_library.Error as error:
        raise RepositoryError(f"{request.changes.url}: the changes cannot be read: {error}") from None


def _result(request: LoadRequest, stamp: Stamp) -> LoadResult:
    """The result of a load in which nothing was applied yet."""
    entity_types = {item.identifier: zero_counts() for item in request.entity_types}
    associations = {item.identifier: {"inserted": 0, "deleted": 0} for item in request.associations}
    return LoadResult(stamp.load_id, stamp.instant, entity_types, associations, already_loaded=False)


def _apply(loading: Loading, request: LoadRequest) -> LoadResult:
    import duckdb as engine_library

    result = _result(request, loading.stamp)
    associations = dict(result.associations)
    entity_types = dict(result.entity_types)
    try:
        for entity in request.entity_types:
            if file := _changes_file(request, entity):
                counts, closed = apply_resources(loading, entity, file)
                entity_types[entity.identifier] = counts
                _add_closed(associations, closed)
        for association in request.associations:
            if file := _changes_file(request, association):
                counts = apply_links(loading, association, file)
                for what, count in counts.items():
                    associations[association.identifier][what] += count
    except engine_library.Error as error:
        raise RepositoryError(f"{request.changes.url}: the changes cannot be read: {error}") from None
    return replace(result, entity_types=entity_types, associations=associations)


def _add_closed(associations: Counts, closed: Counter[str]) -> None:
    for identifier, count in closed.items():
        if count:
            associations.setdefault(identifier, {"inserted": 0, "deleted": 0})["deleted"] += count


def _changes_file(request: LoadRequest, item: EntityType | Association) -> str | None:
    file = f"{item.identifier}.parquet"
    return request.changes.file(file) if request.changes.exists(file) else None


def _items(request: LoadRequest) -> list[EntityType | Association]:
    return [*request.entity_types, *request.associations]


def _check_folder(request: LoadRequest) -> None:
    """A wrong folder must not read as "no changes"."""
    items = _items(request)
    if items and not any(_changes_file(request, item) for item in items):
        raise RepositoryError(f"{request.changes.url}: no changes of {request.connector} there; compare first")


def _record(session: Session, request: LoadRequest, result: LoadResult) -> None:
    counters = {"entity_types": result.entity_types, "associations": result.associations}
    session.run(
        sa.insert(LOAD).values(
            load_id=result.load_id,
            load_key=request.load_key,
            run_id=request.run_id,
            connector=request.connector,
            loaded_at=result.loaded_at,
            actor=request.actor,
            counters=json.dumps(counters, sort_keys=True),
        )
    )
    for connection, cookie in request.cookies.items():
        key = {"connector": request.connector, "connection": connection, "load_id": result.load_id}
        session.run(sa.insert(COOKIE).values(**key, cookie=cookie))
    manifest = request.manifest() if request.manifest is not None else None
    if manifest is not None:
        snapshots.publish(
            session, run_id=request.run_id, connector=request.connector, manifest=manifest, at=result.loaded_at
        )
    # A provisioning run loads more than once; only its end closes it.
    is_open = (RUN.c.run_id == request.run_id, RUN.c.purpose == "synchronize", RUN.c.state.in_(OPEN_STATES))
    text = json.dumps(counters, sort_keys=True)
    session.run(sa.update(RUN).where(*is_open).values(state="loaded", counters=text, closed_at=result.loaded_at))
    detail: dict[str, Any] = {"load_id": result.load_id, "load_key": request.load_key, "connector": request.connector}
    detail |= {"skip_deletions": request.skip_deletions, "counters": counters, "request": dict(request.detail)}
    if manifest is not None:
        detail["manifest_sha256"] = text_sha256(manifest)
    audit.append(session, actor=request.actor, action="load", subject=request.run_id, detail=detail)
