"""Connectors of files."""
