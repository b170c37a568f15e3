"""Score and fit datasets larger than memory with logistic models, in streams, and publish the result in one step.

    score(inputs, model, output, **options)    score files; returns a Report
    preview(inputs, model, output, **options)  show what score would do, from footers alone
    transform(inputs, apply, output, ...)      apply functions to columns of files
    transform_stream(blocks, function, output) apply functions to the blocks that your generator yields
    fit(inputs, target=..., features=...)      fit a model to files; returns a FitReport with the model
    evaluate(inputs, target=..., model=...)    measure how well scores fit what was observed
    merge_evaluations(states)                  the measures of several evaluations together
    fit_network(inputs, hidden=..., ...)       fit a network of dense layers by mini-batches
    preview_fit_network(inputs, ...)           show what fit_network would do
    preview_fit(inputs, ...)                   show what fit would do, from footers alone
    calibrate(inputs, model, target=..., ...)  fit a calibration of a model to files
    LogisticModel, NetworkModel                a model: load, save, probability, predict
    from_sklearn(estimator)                    make a model from a fitted scikit-learn estimator
    from_statsmodels(result)                   make a model from a fitted result of statsmodels
    import_model(path)                         make a model from ONNX, PMML, VW or skops
    import_network(path, layers, output)       make a network from the state of a PyTorch module
    inspect(path)                              look at data files or at a quarantine
    verify(output)                             check that an output is what was published
    diagnose_initialisation(depth=10)          measure how the error signal fares in random layers; say what helps
    diagnose_gradients(inputs, model)          measure the error signal in each layer of a network; say what helps
    rollback(output)                           go back to the previous version in one step, and forward again
    open_dataset(inputs)                       open files as Dask arrays
    sigmoid, tanh, relu, softmax, ...          the functions of pipeline.registry, on NumPy, Dask and other arrays
    sigmoid_grad, tanh_grad, relu_grad, ...    their derivatives, from x or from the value
    Dense, LSTMCell, GRUCell                   layers and cells of networks, on NumPy and Dask arrays
    clip_gradients(gradients, threshold)       gradients of a limited norm

Names are loaded when they are first used, so importing the package takes almost no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.arrays import Dataset, open_dataset
    from pipeline.diagnosis import GradientReport, InitialisationReport, diagnose_initialisation
    from pipeline.diagnosis.gradients import diagnose_gradients
    from pipeline.errors import LogitstreamError
    from pipeline.evaluation.calibrating.report import CalibrationReport
    from pipeline.evaluation.report import EvaluationReport
    from pipeline.fitting.report import FitPlan, FitReport, NetworkPlan, NetworkReport
    from pipeline.inspection import DataInspection, QuarantineInspection, inspect
    from pipeline.interface import preview, score, transform
    from pipeline.measuring import evaluate, merge_evaluations
    from pipeline.measuring.calibrations import calibrate
    from pipeline.modelling import from_sklearn, from_statsmodels, import_model, import_network
    from pipeline.models import LogisticModel
    from pipeline.models.network.model import NetworkModel
    from pipeline.networks import Dense, GRUCell, LSTMCell, clip_gradients
    from pipeline.stream import transform_stream
    from pipeline.training import fit, preview_fit
    from pipeline.training.networks import fit_network, preview_fit_network
    from pipeline.types.report import PlanSummary, Report
    from pipeline.upkeep import Rollback, rollback
    from pipeline.verification import Verification, verify
    from pipeline.version import __version__

__all__ = [
    "CalibrationReport",
    "DataInspection",
    "Dataset",
    "Dense",
    "EvaluationReport",
    "FitPlan",
    "FitReport",
    "GRUCell",
    "GradientReport",
    "InitialisationReport",
    "LSTMCell",
    "LogisticModel",
    "LogitstreamError",
    "NetworkModel",
    "NetworkPlan",
    "NetworkReport",
    "PlanSummary",
    "QuarantineInspection",
    "Report",
    "Rollback",
    "Verification",
    "__version__",
    "calibrate",
    "clip_gradients",
    "diagnose_gradients",
    "diagnose_initialisation",
    "evaluate",
    "fit",
    "fit_network",
    "from_sklearn",
    "from_statsmodels",
    "import_model",
    "import_network",
    "inspect",
    "merge_evaluations",
    "open_dataset",
    "preview",
    "preview_fit",
    "preview_fit_network",
    "rollback",
    "score",
    "transform",
    "transform_stream",
    "verify",
]

_HOMES = {
    "__version__": "version",
    "CalibrationReport": "evaluation.calibrating.report",
    "DataInspection": "inspection",
    "Dataset": "arrays",
    "Dense": "networks",
    "EvaluationReport": "evaluation.report",
    "FitPlan": "fitting.report",
    "FitReport": "fitting.report",
    "GRUCell": "networks",
    "GradientReport": "diagnosis",
    "InitialisationReport": "diagnosis",
    "LSTMCell": "networks",
    "LogisticModel": "models",
    "LogitstreamError": "errors",
    "NetworkModel": "models.network.model",
    "NetworkPlan": "fitting.report",
    "NetworkReport": "fitting.report",
    "PlanSummary": "types.report",
    "QuarantineInspection": "inspection",
    "Report": "types.report",
    "Rollback": "upkeep",
    "Verification": "verification",
    "calibrate": "measuring.calibrations",
    "clip_gradients": "networks",
    "diagnose_gradients": "diagnosis.gradients",
    "diagnose_initialisation": "diagnosis",
    "evaluate": "measuring",
    "fit": "training",
    "fit_network": "training.networks",
    "from_sklearn": "modelling",
    "from_statsmodels": "modelling",
    "import_model": "modelling",
    "import_network": "modelling",
    "inspect": "inspection",
    "merge_evaluations": "measuring",
    "open_dataset": "arrays",
    "preview": "interface",
    "preview_fit": "training",
    "preview_fit_network": "training.networks",
    "rollback": "upkeep",
    "score": "interface",
    "transform": "interface",
    "transform_stream": "stream",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its room."""
    if name not in _HOMES and name not in _functions():
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    value = getattr(import_module(f"pipeline.{_HOMES.get(name, 'arrays')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted([*__all__, *_functions()])


def _functions() -> list[str]:
    from pipeline.registry import FUNCTIONS  # noqa: PLC0415 - public names are loaded when asked for

    return [name for function in FUNCTIONS for name in (function, f"{function}_grad")]
