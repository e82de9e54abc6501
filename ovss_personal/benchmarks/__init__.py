"""Benchmarks: raw data -> one manifest of concepts, shots and test images."""
