"""Estimators and transformers for scikit-learn (extra ``sklearn``).

    LogisticRegression      fitted to the optimum, with a certificate; also on data larger than memory, with Dask
    SigmoidTransformer      the sigmoid, with temperature, alpha, beta and the range of its results
    ActivationTransformer   any function, chosen with its name
    LogisticScorer          probabilities from a model file

They take NumPy arrays and dataframes (pandas, Polars), and Dask arrays and dataframes, which stay lazy.
"""

from pipeline.errors import ConfigurationError

try:
    import sklearn  # noqa: F401 - so that what is missing is said in one place
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "sklearn":
        raise
    raise ConfigurationError("scikit-learn is not installed", "pip install 'logitstream[sklearn]'") from None

from pipeline.sklearn.logistic import LogisticRegression
from pipeline.sklearn.transformers import ActivationTransformer, LogisticScorer, SigmoidTransformer

__all__ = ["ActivationTransformer", "LogisticRegression", "LogisticScorer", "SigmoidTransformer"]
