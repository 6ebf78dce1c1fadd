"""What the benchmarks share: servers to measure against, processes to measure in, tables."""
