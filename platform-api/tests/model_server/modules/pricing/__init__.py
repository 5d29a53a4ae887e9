"""Business rules that a model brings along as its code_paths."""

from pricing.rules import surcharge

__all__ = ["surcharge"]
