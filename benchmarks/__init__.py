"""Benchmarks of the speed and safety of the integration, one command for each."""
