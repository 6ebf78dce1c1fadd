"""Tests with a real Home Assistant, a GAZE server process, and a real browser."""
