"""Databases: queries or tables, through SQLAlchemy dialects or any ODBC driver."""
