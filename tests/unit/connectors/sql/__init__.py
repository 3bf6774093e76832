"""Databases, without servers."""
