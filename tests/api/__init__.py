"""Tests of the REST client: no Home Assistant in here, only HTTP."""
