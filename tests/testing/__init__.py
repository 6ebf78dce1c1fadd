"""Tests of the stand-in GAZE server."""
