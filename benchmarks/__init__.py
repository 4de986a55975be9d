"""Benchmarks: ``python -m benchmarks NAME``; README.md says what each one asks and how to read its answer."""
