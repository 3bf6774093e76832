"""Tests of seconds, without servers."""
