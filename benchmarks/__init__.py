"""Measurements of Rollcall beside its peers: ``make bench [AREA=...]``."""
