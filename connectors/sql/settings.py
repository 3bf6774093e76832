"""Settings of package ``sql``. Address, login and password stand in the Airflow Connection only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from connectors.contract import ConnectorSettings

IsolationLevel = Literal["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "SNAPSHOT"]
CREDENTIALS = {"uid", "user", "username", "login", "pwd", "password", "passwd", "token", "accesstoken"}


class SqlSettings(ConnectorSettings):
    """How to speak to the database, and what to read from it.

    One of ``query``, ``query_file`` and ``tables``, or none: then every mapped table
    ``<connection>_<table name>`` is read under its own name. ``query_file`` is ignored beside
    ``query``.

    The Airflow Connection holds host, port, schema (the database), login and password; its extra holds
    further options of the driver, such as ``sslmode``.
    """

    drivername: str
    """SQLAlchemy driver name (``sqlite``, ``postgresql+psycopg``, ``mysql+pymysql``), or ``odbc``."""
    database: str | None = None
    """Database name, before the schema of the Airflow Connection. For SQLite the file, under the
    configuration's folder."""
    query: str | None = None
    query_file: str | None = None
    """A UTF-8 file with the query, under the configuration's folder."""
    tables: Mapping[str, str] = {}
    """Queries by table suffix: each becomes the table ``<connection>_<suffix>``."""
    timeout: Annotated[int, Field(gt=0)] | None = None
    """Seconds to wait for a connection, and for one answer, where the driver can."""
    isolation_level: IsolationLevel | None = None
    """Kept from the driver when null, or when the database lacks it. ``REPEATABLE READ`` gives all
    tables of an export as of one instant, in databases with row versions."""
    query_options: Mapping[str, str] = {}
    """Further options in the SQLAlchemy URL."""
    odbc_driver: str | None = None
    """Name of the driver in ``odbcinst.ini``; null when ``odbc_options`` names a ``DSN``."""
    odbc_options: Mapping[str, str] = {}
    """Further keywords of the ODBC connection string."""

    @field_validator("query_options", "odbc_options")
    @classmethod
    def _no_credentials(cls, options: Mapping[str, str]) -> Mapping[str, str]:
        for name in options:
            if name.replace("_", "").casefold() in CREDENTIALS:
                raise ValueError(f"'{name}' belongs in the Airflow Connection, not in the settings")
        return options

    @model_validator(mode="after")
    def _consistent(self) -> SqlSettings:
        if self.tables and (self.query or self.query_file):
            raise ValueError("give 'tables', or one query with 'query' or 'query_file', not both")
        if "://" in self.drivername:
            raise ValueError("'drivername' is the part before '://'; the address belongs in the Airflow Connection")
        named = self.odbc_driver or any(name.casefold() == "dsn" for name in self.odbc_options)
        if self.drivername == "odbc" and not named:
            raise ValueError("drivername 'odbc' needs 'odbc_driver', or a 'DSN' in 'odbc_options'")
        if self.drivername != "odbc" and (self.odbc_driver or self.odbc_options):
            raise ValueError("'odbc_driver' and 'odbc_options' go with drivername 'odbc'")
        return self
