"""Databases, each a real server."""
