"""The control plane of the MLOps platform: rooms named after the business, see docs/ARCHITECTURE.md."""

__version__ = "0.1.0"
