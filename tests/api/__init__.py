"""Tests of the REST client over HTTP, without Home Assistant."""
