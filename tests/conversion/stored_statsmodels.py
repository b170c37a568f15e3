"""Results of statsmodels on the data that come with it, stored so that tests need no statsmodels.

    python -m tests.conversion.stored_statsmodels

fits each case, and writes what a conversion reads of its result (names, parameters, the terms of its formula), some
rows and the probabilities that statsmodels predicts for them to ``tests/conversion/data/statsmodels.json``.
:func:`rebuilt` makes plain objects with the same attributes. Needs statsmodels, patsy and formulaic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

STORED = Path(__file__).parent / "data" / "statsmodels.json"
STORED_ROWS = 25

SPECTOR = "GRADE ~ GPA + TUCE + PSI"
WIDE = (
    "affair ~ C(job, Sum) * np.log(age) + C(job, Sum):C(mood) + center(yrs_married) + I(children ** 2)"
    " + standardize(religious) + I(educ ** 3 / 1000)"
)
FORMULAIC = (
    "affair ~ C(job, contr.sum) * np.log(age) + C(job, contr.sum):C(mood) + center(yrs_married) + I(children**2)"
    " + scale(religious) + educ:age"
)


def _data(name: str) -> Any:
    import statsmodels.api as sm

    data: Any = getattr(sm.datasets, name).load_pandas().data.copy()
    if name == "fair":
        data["affair"] = (data["affairs"] > 0).astype(int)
        data["occupation"] = data["occupation"].astype(int)
        data["rate"] = data["rate_marriage"].astype(int)
        data["mood"] = np.where(data["rate"] > 3, "good", "bad")
        data["devout"] = data["religious"] > 2
        data["job"] = data["occupation"].map({2: "farmer", 3: "white collar", 4: "teacher"}).fillna("other")
        return data.iloc[::2].reset_index(drop=True)
    if name in {"spector", "star98"}:
        data["level"] = np.linspace(-1, 1, len(data))
    if name == "anes96":
        data["party"] = data["PID"].astype(int)
        data["name"] = data["PID"].astype(int).map("p{}".format)
    return data


def _matrix(model: str, data: str, endog: str, columns: list[str], **options: Any) -> Callable[[], tuple[Any, Any]]:
    def fit() -> tuple[Any, Any]:
        import statsmodels.api as sm

        frame = _data(data)
        exog = sm.add_constant(frame[columns].astype(float))
        given = {name: frame[value] if name == "offset" else value for name, value in options.items()}
        return _quietly(getattr(sm, model)(frame[endog], exog, **given).fit), frame

    return fit


def _binomial(link: str) -> Any:
    import statsmodels.api as sm

    return sm.families.Binomial(link=getattr(sm.families.links, link)())


def _glm(link: str, offset: str | None = None) -> Callable[[], tuple[Any, Any]]:
    def fit() -> tuple[Any, Any]:
        import statsmodels.api as sm

        frame = _data("star98")
        columns = ["LOWINC", "PERASIAN", "PERBLACK", "PERHISP", "PCTCHRT"]
        given = {} if offset is None else {"offset": frame[offset]}
        endog = frame[["NABOVE", "NBELOW"]]
        return sm.GLM(endog, sm.add_constant(frame[columns]), family=_binomial(link), **given).fit(), frame

    return fit


def _formula(
    kind: str, formula: str, data: str, engine: str = "patsy", **options: Any
) -> Callable[[], tuple[Any, Any]]:
    def fit() -> tuple[Any, Any]:
        import statsmodels.formula.api as smf

        frame = _data(data)
        given = {name: _binomial(value) if name == "family" else value for name, value in options.items()}
        with _engine(engine):
            return _quietly(getattr(smf, kind)(formula, frame, **given).fit), frame

    return fit


@contextmanager
def _engine(name: str) -> Iterator[None]:
    import statsmodels.formula

    before = statsmodels.formula.options.formula_engine
    statsmodels.formula.options.formula_engine = name
    try:
        yield
    finally:
        statsmodels.formula.options.formula_engine = before


def engine_of(case: str) -> AbstractContextManager[None]:
    """Return a context in which statsmodels reads formulas as the case has them: predicting needs that, too."""
    return _engine("formulaic" if case.endswith("formulaic") else "patsy")


def _quietly(fit: Callable[..., Any]) -> Any:
    return fit(disp=0) if "disp" in fit.__code__.co_varnames else fit()


# How each case is fitted, and the names that a conversion has to be told.
CASES: Mapping[str, tuple[Callable[[], tuple[Any, Any]], dict[str, str]]] = {
    "spector logit": (_matrix("Logit", "spector", "GRADE", ["GPA", "TUCE", "PSI"]), {}),
    "spector probit": (_matrix("Probit", "spector", "GRADE", ["GPA", "TUCE", "PSI"]), {}),
    "spector logit with an offset": (
        _matrix("Logit", "spector", "GRADE", ["GPA", "TUCE", "PSI"], offset="level"),
        {"offset": "level"},
    ),
    "spector formula": (_formula("logit", SPECTOR, "spector"), {}),
    "anes96 of seven numbers": (_matrix("MNLogit", "anes96", "party", ["logpopul", "selfLR", "age", "educ"]), {}),
    "anes96 of seven names": (_matrix("MNLogit", "anes96", "name", ["logpopul", "selfLR", "age", "educ"]), {}),
    "anes96 formula": (_formula("mnlogit", "party ~ C(vote) * age + np.log(educ) + income", "anes96"), {}),
    "star98 logit": (_glm("Logit"), {}),
    "star98 probit": (_glm("Probit"), {}),
    "star98 cloglog": (_glm("CLogLog"), {}),
    "star98 loglog": (_glm("LogLog"), {}),
    "star98 cauchit": (_glm("Cauchy"), {}),
    "star98 with an offset": (_glm("CLogLog", "level"), {"offset": "level"}),
    "fair patsy": (_formula("glm", WIDE, "fair", family="Logit"), {}),
    "fair formulaic": (_formula("glm", FORMULAIC, "fair", "formulaic", family="CLogLog"), {}),
    "fair text and boolean": (
        _formula("glm", "affair ~ C(job, Treatment('other')) * devout + np.sqrt(age)", "fair", family="Probit"),
        {},
    ),
    "fair text and boolean, formulaic": (
        _formula("logit", "affair ~ job:devout + log10(age) + C(children, contr.poly)", "fair", "formulaic"),
        {},
    ),
    "fair contrasts": (
        _formula("logit", "affair ~ C(job, Helmert) + C(children, Poly) + C(rate, Diff) + np.log1p(age)", "fair"),
        {},
    ),
}


def describe(result: Any) -> dict[str, Any]:
    """Return what a conversion reads of a result, as JSON."""
    model = result.model
    spec = getattr(model.data, "model_spec", None) or getattr(model.data, "design_info", None)
    frame = getattr(model.data, "frame", None)
    types = frame if frame is not None else model.data.orig_exog
    return {
        "kind": type(model).__name__,
        "family": type(getattr(model, "family", None)).__name__,
        "link": type(getattr(getattr(model, "family", None), "link", None)).__name__,
        "exog_names": list(model.exog_names),
        "ones": [bool((model.exog[:, place] == 1).all()) for place in range(model.exog.shape[1])],
        "endog_names": model.endog_names,
        "params": np.asarray(result.params).tolist(),
        "ynames": list(getattr(model, "_ynames_map", {}).values()),
        "classes": _classes(model, frame),
        "offset": getattr(model, "offset", None) is not None,
        "types": {str(name): str(dtype) for name, dtype in types.dtypes.items()},
        "frame": frame is not None,
        "spec": None if spec is None else _patsy(spec) if hasattr(spec, "term_codings") else _formulaic(spec),
    }


def _classes(model: Any, frame: Any) -> list[Any]:
    values = model.data.orig_endog if frame is None else frame.get(model.endog_names)
    return [] if values is None or np.ndim(values) != 1 else np.unique(np.asarray(values)).tolist()


def _patsy(spec: Any) -> dict[str, Any]:
    factors = {
        factor.code: {
            "type": info.type,
            "num_columns": info.num_columns,
            "categories": None if info.categories is None else [_plain(value) for value in info.categories],
            "eval_code": info.state["eval_code"],
            "transforms": {
                name: {"class": type(learnt).__name__, **{key: _plain(value) for key, value in vars(learnt).items()}}
                for name, learnt in info.state["transforms"].items()
            },
        }
        for factor, info in spec.factor_infos.items()
    }
    subterms = [
        [
            (
                factor.code,
                subterm.contrast_matrices[factor].matrix.tolist() if factor in subterm.contrast_matrices else None,
            )
            for factor in subterm.factors
        ]
        for subterms in spec.term_codings.values()
        for subterm in subterms
    ]
    return {"engine": "patsy", "factors": factors, "subterms": subterms}


def _formulaic(spec: Any) -> dict[str, Any]:
    states = {}
    for code, (kind, state) in spec.encoder_state.items():
        contrasts = state.get("contrasts")
        levels = [] if contrasts is None else list(contrasts.levels)
        matrices = [
            np.asarray(contrasts.contrasts.get_coding_matrix(levels, reduced_rank=reduced)).tolist()
            for reduced in (False, True)
            if contrasts is not None
        ]
        states[str(code)] = {"kind": kind.value, "levels": [_plain(level) for level in levels], "matrices": matrices}
    terms = [
        {
            "scale": float(scoped.scale),
            "factors": [
                (str(each.factor.expr), bool(each.reduced), each.factor.factor.eval_method.value)
                for each in scoped.factors
            ],
        }
        for row in spec.structure
        for scoped in row.scoped_terms
    ]
    learnt = {
        call: {key: _plain(value) for key, value in state.items()} for call, state in spec.transform_state.items()
    }
    return {"engine": "formulaic", "states": states, "terms": terms, "learnt": learnt}


def _plain(value: Any) -> Any:
    if not isinstance(value, np.generic | np.ndarray):
        return value
    array = np.asarray(value)
    return (array.astype(np.float64) if array.dtype.kind == "f" else array).tolist()


class Named:
    """An object of a class with a given name, and attributes."""

    def __new__(cls, name: str, **attributes: Any) -> Any:
        made = type(name, (), {})()
        made.__dict__.update(attributes)
        return made


class Code:
    """A factor: its code, by which it is found."""

    def __init__(self, code: str) -> None:
        self.code = code


def rebuilt(stored: Mapping[str, Any]) -> Any:
    """Return an object with what :func:`describe` read of a result."""
    is_frame, types = stored["frame"], stored["types"]
    spec = stored["spec"]
    frame = SimpleNamespace(
        dtypes=dict(types),
        columns=list(types),
        get=lambda name: np.array(stored["classes"]) if stored["classes"] else None,
    )
    data = SimpleNamespace(
        model_spec=None if spec is None else _rebuilt_spec(spec),
        orig_exog=frame,
        orig_endog=np.array(stored["classes"]) if stored["classes"] else None,
        **({"frame": frame} if is_frame else {}),
    )
    model = Named(
        stored["kind"],
        exog_names=stored["exog_names"],
        endog_names=stored["endog_names"],
        exog=np.array([[1.0 if is_one else 2.0 for is_one in stored["ones"]]]),
        family=Named(stored["family"], link=Named(stored["link"])),
        offset=np.ones(1) if stored["offset"] else None,
        data=data,
        _ynames_map=dict(enumerate(stored["ynames"])),
    )
    return SimpleNamespace(model=model, params=np.array(stored["params"]))


def _rebuilt_spec(spec: Mapping[str, Any]) -> Any:
    if spec["engine"] == "patsy":
        factors = {code: Code(code) for code in spec["factors"]}
        infos = {}
        for code, info in spec["factors"].items():
            learnt = {
                name: Named(each["class"], **{key: _array(value) for key, value in each.items() if key != "class"})
                for name, each in info["transforms"].items()
            }
            state = {"eval_code": info["eval_code"], "transforms": learnt}
            infos[factors[code]] = SimpleNamespace(**{**info, "state": state})
        subterms = [
            SimpleNamespace(
                factors=[factors[code] for code, _ in subterm],
                contrast_matrices={
                    factors[code]: SimpleNamespace(matrix=np.array(matrix)) for code, matrix in subterm if matrix
                },
            )
            for subterm in spec["subterms"]
        ]
        return SimpleNamespace(factor_infos=infos, term_codings={"all": subterms})
    return _rebuilt_formulaic(spec)


def _array(value: Any) -> Any:
    return np.array(value) if isinstance(value, list) else value


def _rebuilt_formulaic(spec: Mapping[str, Any]) -> Any:
    states = {}
    for code, state in spec["states"].items():
        contrasts = SimpleNamespace(
            levels=state["levels"],
            contrasts=SimpleNamespace(
                get_coding_matrix=lambda levels, reduced_rank, m=state["matrices"]: np.array(m[int(reduced_rank)])
            ),
        )
        states[code] = (SimpleNamespace(value=state["kind"]), {"contrasts": contrasts})
    terms = [
        SimpleNamespace(
            scale=term["scale"],
            factors=[
                SimpleNamespace(
                    reduced=reduced,
                    factor=SimpleNamespace(
                        expr=code, factor=SimpleNamespace(eval_method=SimpleNamespace(value=method))
                    ),
                )
                for code, reduced, method in term["factors"]
            ],
        )
        for term in spec["terms"]
    ]
    return SimpleNamespace(
        encoder_state=states, transform_state=spec["learnt"], structure=[SimpleNamespace(scoped_terms=terms)]
    )


def main() -> None:
    """Write the stored file."""
    from pipeline.conversion.statsmodels import Wishes, _Predicting
    from pipeline.conversion.statsmodels import _matrix as matrix_of

    stored = {}
    for name, (fit, names) in CASES.items():
        result, frame = fit()
        rows = frame.iloc[:: max(1, len(frame) // STORED_ROWS)].head(STORED_ROWS)
        predicting = _Predicting(result, matrix_of(result.model, None), Wishes(**names))
        with engine_of(name):
            probabilities = predicting.on(rows).tolist()
        stored[name] = {
            "names": names,
            "result": describe(result),
            "rows": {str(column): [_plain(value) for value in values] for column, values in rows.items()},
            "probabilities": probabilities,
        }
    STORED.write_text(json.dumps(stored) + "\n")


if __name__ == "__main__":
    main()
