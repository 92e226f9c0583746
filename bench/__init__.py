"""Measurements over real HTTP beside baselines taken in the same run: `python -m bench`."""
