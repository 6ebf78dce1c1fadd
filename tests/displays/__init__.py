"""Tests of displays."""
