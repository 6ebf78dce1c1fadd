"""Benchmarks: what the project claims of its speed and safety, measured by one command each."""
