"""Connectors of files: CSV."""
