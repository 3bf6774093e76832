"""Servers that do on purpose what real ones do now and then."""
