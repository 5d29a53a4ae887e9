"""Measurements of the hot paths: bars that hold against the bare floor or on their own, and peers, only reported."""
