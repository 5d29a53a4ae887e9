"""The demo project: purchase events of an online shop become features, and a training set for churn."""

from mlops_platform.local.churn.pipeline import FEATURES
from mlops_platform.local.churn.project import DemoMissing, prepare, training_set

__all__ = ["FEATURES", "DemoMissing", "prepare", "training_set"]
