"""The doors, without servers."""
