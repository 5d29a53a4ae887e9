import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Doubled(TransformerMixin, BaseEstimator):
    """A transformer of one's own."""

    def fit(self, rows, target=None):
        self.n_features_in_ = np.asarray(rows).shape[1]
        return self

    def transform(self, rows):
        return np.asarray(rows) * 2
