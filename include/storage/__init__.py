"""The files of a run, wherever they lie, and the DuckDB that reads and writes them.

Every room may use this one; it knows paths and bytes, never what they mean.
"""
