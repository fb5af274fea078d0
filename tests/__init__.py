"""The tests: one `test_<module>.py` for each module; `scenarios/` runs whole programs."""
