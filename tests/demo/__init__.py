"""Tests of the fake GAZE server."""
