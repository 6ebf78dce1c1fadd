"""Shared parts of the benchmarks: fake servers, processes, and tables."""
