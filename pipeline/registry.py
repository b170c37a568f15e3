"""The table of functions: the command line, the documents, the tests and the benchmark take their facts from it.

An entry states facts and formulas; the tiles that compute it have the same name in
:mod:`pipeline.kernels.activations`. Nothing here imports numpy: an expression takes the module that it computes with as
its first argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from numbers import Real
from typing import Any

from pipeline.dataclass import dataclass
from pipeline.units import nearest

Expression = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that changes a function.

    Attributes
    ----------
    name : str
    default : float
    meaning : str
    above : float
        It must be more than this.
    least, most : float
        It must be between them, both allowed.
    """

    name: str
    default: float
    meaning: str
    above: float = -math.inf
    least: float = -math.inf
    most: float = math.inf

    @property
    def allowed(self) -> str:
        """The allowed range in words: ``more than 0``, ``between 0 and 1``, ``finite``."""
        if self.above > -math.inf:
            return f"more than {self.above:g}"
        return f"between {self.least:g} and {self.most:g}" if self.least > -math.inf else "finite"

    def checked(self, value: object) -> float:
        """Return a value as a float.

        Raises
        ------
        TypeError
            It is not a real number.
        ValueError
            It is not allowed.
        """
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{self.name} must be a number, got {type(value).__name__}")
        try:
            number = float(value)
        except OverflowError:
            raise ValueError(f"{self.name} must be {self.allowed}, got a number too large for a float") from None
        if not (math.isfinite(number) and number > self.above and self.least <= number <= self.most):
            raise ValueError(f"{self.name} must be {self.allowed}, got {number:g}")
        return number


@dataclass(frozen=True, slots=True)
class Function:
    """What is known of a function.

    Attributes
    ----------
    name : str
    formula, range, derivative : str
        As a reader sees them.
    error : str
        How far results in float64 can be from the exact ones, in units in the last place (u).
    bound : float
        The same as a number: no element is further off, in u of the result, than this and ``slack`` allow.
    source : str
        Where the formula or the method comes from.
    vanishing : str
        Where the derivative goes to zero.
    best_use : str
    one_liner : str
        What people write with NumPy. ``numpy`` is the same as a function, and speed is measured against it.
    numpy : callable
        ``numpy(np, x, out=None, **parameters)``: with ``out`` its last step writes there.
    plain : callable
        ``plain(xp, x, **parameters)``: one expression in names of the array API standard, for arrays of any library.
    exact : callable
        ``exact(mp, x, **parameters)``: the definition in numbers of mpmath.
    parameters : tuple of Parameter
    value_derivative : str
        The derivative in terms of the value y; empty if it is only computed from x.
    slack : callable or None
        ``slack(x, y)``: the absolute error that is allowed in addition to ``bound`` u, where no bound in u of the
        result can hold: near a zero, or for large x, where rounding an argument matters.
    gradient_bound : float
    gradient_remark : str
    gradient_slack : callable or None
        The same for the derivative from x; the remark says in words what the bound alone does not.
    several : bool
        Whether it takes several columns at once, and gives as many.
    scipy, torch : str
        The same function in ``scipy.special``, and under ``torch``; empty if there is none.
    needed : str
        What the one-liner takes from ``scipy.special``, as a keyword of that name; empty if NumPy has all of it.
    torch_options : mapping
        Options for the function of PyTorch.
    conflict : callable or None
        Returns what is wrong with parameters that are each allowed but do not go together; empty if nothing is.
    """

    name: str
    formula: str
    range: str
    derivative: str
    error: str
    bound: float
    gradient_bound: float
    source: str
    vanishing: str
    best_use: str
    one_liner: str
    numpy: Expression
    plain: Expression
    exact: Expression
    parameters: tuple[Parameter, ...] = ()
    value_derivative: str = ""
    slack: Callable[[float, float], float] | None = None
    gradient_remark: str = ""
    gradient_slack: Callable[[float, float], float] | None = None
    several: bool = False
    scipy: str = ""
    torch: str = ""
    needed: str = ""
    torch_options: Mapping[str, Any] = field(default_factory=dict)
    conflict: Callable[[Mapping[str, float]], str] | None = None

    @property
    def gradient_error(self) -> str:
        """The error of the derivative in words, like :attr:`error` for the function."""
        return ("exact" if self.gradient_bound == 0 else f"{self.gradient_bound:g} u") + self.gradient_remark

    @property
    def defaults(self) -> dict[str, float]:
        """The parameters with their defaults, in order."""
        return {parameter.name: parameter.default for parameter in self.parameters}

    def parameter(self, name: str) -> Parameter:
        """Return the parameter with that name.

        Raises
        ------
        TypeError
            There is none; the message has the nearest name, or all names.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise TypeError("".join(self.no_parameter(name)))

    def no_parameter(self, name: str) -> tuple[str, str]:
        """Return a message that there is no such parameter, and the question which one was meant, if one is near."""
        if not self.parameters:
            return f"{self.name} has no parameters", ""
        return _unknown(f'{self.name} has no parameter "{name}"', name, tuple(self.defaults))

    def arguments(self, given: Mapping[str, Any]) -> dict[str, float]:
        """Return every parameter as a float: the given value, else the default.

        Raises
        ------
        TypeError
            There is no such parameter, or a value is not a number.
        ValueError
            A value is not allowed, alone or with another.
        """
        checked = {name: self.parameter(name).checked(value) for name, value in given.items()}
        arguments = {**self.defaults, **checked}
        if self.conflict is not None and (message := self.conflict(arguments)):
            raise ValueError(message)
        return arguments

    def signature(self) -> str:
        """Return how it is called: ``sigmoid(x, temperature=1, alpha=1, beta=0, low=0, high=1)``."""
        columns = "a, b, ..." if self.several else "x"
        return f"{self.name}({', '.join([columns, *(f'{p.name}={p.default:g}' for p in self.parameters)])})"


# With a = |x| and w = 2 / (a + 5), erfc(a / sqrt(2)) exp(a^2 / 2) / 2 is w times this polynomial in t = a w - 1, the
# constant first, to within 9e-17 of itself for a up to 41: a Chebyshev series of that range, cut off.
TAIL_SHIFT = 5.0
TAIL_TERMS = (
    0.3845965248750315,
    -0.33269125144502837,
    0.24765280798498837,
    -0.15676657833565258,
    0.08251018308518258,
    -0.03455931935314883,
    0.010397533400149771,
    -0.0014966883852730087,
    -0.00039893470147920424,
    0.0002724495317700352,
    -2.9687850168524077e-05,
    -2.488139947816251e-05,
    8.34055564769234e-06,
    1.990410424890986e-06,
    -1.3845193751743318e-06,
    -1.681893818981299e-07,
    2.164266990876853e-07,
    2.094160935580846e-08,
    -3.289175110723169e-08,
    -4.4834282225876435e-09,
    3.842406016874707e-09,
    8.127981725050196e-10,
    -1.021196032087853e-10,
)
# x^2/2 is past the smallest exponent of float64 here.
TAIL_END = 40.0

# exp(-exp(w)) is far below the smallest number from the first on, and has an exponent of 10^43 digits at the second.
_GUMBEL_END = 7.0
_NOTHING_LEFT = 100

# 2 sqrt(2/pi), and the cubic coefficient of the tanh form of GELU.
GELU_SLOPE = 1.5957691216057307117597842397
GELU_CUBIC = 0.044715

_BESIDE_ZERO = 4e-16


def _between(first: float, last: float) -> Callable[[float, float], float]:
    """Return the slack of a derivative near its zero, where its terms nearly cancel."""
    return lambda x, _: _BESIDE_ZERO if first < x < last else 0.0


def _polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    result = coefficients[-1] * x + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        result = result * x + coefficient
    return result


def _plain_relu(xp: Any, x: Any) -> Any:
    return xp.where(x <= 0, xp.zeros_like(x), x)


def _plain_logistic(xp: Any, z: Any) -> Any:
    t = xp.exp(-xp.abs(z))
    return xp.where(z < 0, t, xp.ones_like(t)) / (1 + t)


def _linear(x: Any, temperature: float, alpha: float, beta: float) -> Any:
    return (alpha * x + beta) / temperature


def _numpy_sigmoid(
    np: Any,
    x: Any,
    out: Any = None,
    temperature: float = 1,
    alpha: float = 1,
    beta: float = 0,
    low: float = 0,
    high: float = 1,
) -> Any:
    if (temperature, alpha, beta, low, high) == (1, 1, 0, 0, 1):
        return np.divide(1, 1 + np.exp(-np.clip(x, -500, 500)), out=out)
    z = _linear(x, temperature, alpha, beta)
    return np.add(low, (high - low) / (1 + np.exp(-np.clip(z, -500, 500))), out=out)


def _plain_sigmoid(
    xp: Any, x: Any, temperature: float = 1, alpha: float = 1, beta: float = 0, low: float = 0, high: float = 1
) -> Any:
    z = _linear(x, temperature, alpha, beta)
    if low == -high:
        return high * xp.tanh(z / 2)
    t = xp.exp(-xp.abs(z))
    return xp.where(z < 0, low + high * t, high + low * t) / (1 + t)


def _exact_sigmoid(
    mp: Any, x: Any, temperature: float = 1, alpha: float = 1, beta: float = 0, low: float = 0, high: float = 1
) -> Any:
    z = (mp.mpf(alpha) * x + mp.mpf(beta)) / mp.mpf(temperature)
    return (mp.mpf(high) + mp.mpf(low) * mp.exp(-z)) / (1 + mp.exp(-z))


def _sigmoid_conflict(arguments: Mapping[str, float]) -> str:
    low, high = arguments["low"], arguments["high"]
    if not low < high:
        return f"low must be less than high, got {low:g} and {high:g}"
    return "" if math.isfinite(high - low) else f"low and high are too far apart: {low:g} and {high:g}"


def _plain_softplus(xp: Any, x: Any) -> Any:
    return _plain_relu(xp, x) + xp.log1p(xp.exp(-xp.abs(x)))


def _exact_softplus(mp: Any, x: Any) -> Any:
    return x + mp.log1p(mp.exp(-x)) if x > 0 else mp.log1p(mp.exp(x))


def _plain_logit(xp: Any, x: Any) -> Any:
    share = xp.where(x < 0.5, x, 1 - x)
    magnitude = xp.log1p(2 * xp.abs(x - 0.5) / share)
    return xp.where(x < 0.5, -magnitude, magnitude)


def _plain_silu(xp: Any, x: Any) -> Any:
    return xp.where(x < -800, xp.zeros_like(x) - 800, x) * _plain_logistic(xp, x)


def _plain_hard_sigmoid(xp: Any, x: Any) -> Any:
    inner = (x + 3) / 6
    inner = xp.where(inner < 0, xp.zeros_like(inner), inner)
    return xp.where(inner > 1, xp.ones_like(inner), inner)


def _plain_tail(xp: Any, x: Any) -> tuple[Any, Any]:
    """Return |x|, at most 40, and the normal probability above it."""
    a = xp.abs(x)
    a = xp.where(a > TAIL_END, xp.zeros_like(a) + TAIL_END, a)
    w = 2 / (a + TAIL_SHIFT)
    return a, w * _polynomial(a * w - 1, TAIL_TERMS) * xp.exp(-a * a / 2)


def _plain_gelu(xp: Any, x: Any) -> Any:
    a, tail = _plain_tail(xp, x)
    return _plain_relu(xp, x) - a * tail


def _plain_probit(xp: Any, x: Any) -> Any:
    _, tail = _plain_tail(xp, x)
    return xp.where(x < 0, tail, 1 - tail)


def _exact_probit(mp: Any, x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def _plain_rising(xp: Any, w: Any) -> Any:
    """Return 1 - exp(-exp(w)), where the largest exponential is finite."""
    return -xp.expm1(-xp.exp(xp.where(w > _GUMBEL_END, xp.zeros_like(w) + _GUMBEL_END, w)))


def _plain_falling(xp: Any, w: Any) -> Any:
    return xp.exp(-xp.exp(xp.where(w > _GUMBEL_END, xp.zeros_like(w) + _GUMBEL_END, w)))


def _exact_rising(mp: Any, w: Any) -> Any:
    return -mp.expm1(-mp.exp(w)) if w < _NOTHING_LEFT else mp.mpf(1)


def _exact_falling(mp: Any, w: Any) -> Any:
    return mp.exp(-mp.exp(w)) if w < _NOTHING_LEFT else mp.mpf(0)


def _plain_cauchit(xp: Any, x: Any) -> Any:
    is_far = x < -1
    near = xp.where(is_far, xp.zeros_like(x), x)
    far = xp.where(is_far, x, xp.zeros_like(x) - 1)
    return xp.where(is_far, xp.atan(-1 / far) / math.pi, 0.5 + xp.atan(near) / math.pi)


def _exact_cauchit(mp: Any, x: Any) -> Any:
    return mp.atan(-1 / x) / mp.pi if x < 0 else mp.mpf(0.5) + mp.atan(x) / mp.pi


def _exact_gelu(mp: Any, x: Any) -> Any:
    return x * mp.erfc(-x / mp.sqrt(2)) / 2


def _gelu_argument(x: Any) -> Any:
    return GELU_SLOPE * (x + GELU_CUBIC * x * x * x)


def _plain_gelu_tanh(xp: Any, x: Any) -> Any:
    clipped = xp.where(x < -30, xp.zeros_like(x) - 30, x)
    return clipped * _plain_logistic(xp, _gelu_argument(clipped))


def _numpy_gelu_tanh(np: Any, x: Any, out: Any = None) -> Any:
    return np.multiply(0.5 * x, 1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)), out=out)


def _numpy_leaky_relu(np: Any, x: Any, out: Any = None, alpha: float = 0.01) -> Any:
    if out is None:
        return np.where(x > 0, x, alpha * x)
    # np.where has no out; this is what it does.
    np.multiply(x, alpha, out=out)
    np.copyto(out, x, where=x > 0)
    return out


def _numpy_elu(np: Any, x: Any, out: Any = None, alpha: float = 1) -> Any:
    if out is None:
        return np.where(x > 0, x, alpha * np.expm1(x))
    np.multiply(np.expm1(x, out=out), alpha, out=out)
    np.copyto(out, x, where=x > 0)
    return out


def _exact_gelu_tanh(mp: Any, x: Any) -> Any:
    return x / (1 + mp.exp(-2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf(44715) / 1000000 * x**3)))


def _gelu_tanh_slack(x: float, y: float) -> float:
    return _between(-1.5, -0.25)(x, y) + 3 * 2.0**-52 * abs(float(_gelu_argument(x)) * y)


def _plain_elu(xp: Any, x: Any, alpha: float = 1) -> Any:
    return xp.where(x > 0, x, alpha * xp.expm1(xp.where(x > 0, xp.zeros_like(x), x)))


def _plain_softmax(xp: Any, x: Any, temperature: float = 1, axis: int = -1) -> Any:
    # The max of PyTorch also returns positions.
    largest = (xp.amax if hasattr(xp, "amax") else xp.max)(x, axis=axis, keepdims=True)
    e = xp.exp((x - largest) / temperature)
    return e / xp.sum(e, axis=axis, keepdims=True)


def _numpy_softmax(np: Any, x: Any, out: Any = None, temperature: float = 1, axis: int = -1) -> Any:
    e = np.exp((x - x.max(axis=axis, keepdims=True)) / temperature)
    return np.divide(e, e.sum(axis=axis, keepdims=True), out=out)


def _exact_softmax(mp: Any, x: Any, temperature: float = 1) -> Any:
    powers = [mp.exp((value - max(x)) / mp.mpf(temperature)) for value in x]
    return [power / mp.fsum(powers) for power in powers]


_TEMPERATURE = Parameter("temperature", 1, "divides the argument; a larger one flattens the curve", above=0)

_ENTRIES = (
    Function(
        name="sigmoid",
        formula="low + (high - low) / (1 + exp(-z)), z = (alpha x + beta) / temperature",
        range="(0, 1); (low, high)",
        derivative="p (1 - p), times (high - low) alpha / temperature",
        value_derivative="(y - low) (high - y) / (high - low), times alpha / temperature",
        error="2.75 u; with parameters 4 u of the larger of |low| and |high|, at the rounded z",
        bound=2.75,
        gradient_bound=6.0,
        gradient_remark="; with parameters 8 u at the rounded z, unless p is subnormal",
        source="P. F. Verhulst, 1838",
        vanishing="on both sides, as exp(-|x|)",
        best_use="probability of one of two classes; gates",
        one_liner="1 / (1 + np.exp(-np.clip(x, -500, 500)))",
        numpy=_numpy_sigmoid,
        plain=_plain_sigmoid,
        exact=_exact_sigmoid,
        scipy="expit",
        torch="sigmoid",
        parameters=(
            _TEMPERATURE,
            Parameter("alpha", 1, "factor of x"),
            Parameter("beta", 0, "added to alpha x"),
            Parameter("low", 0, "the lower end of the range"),
            Parameter("high", 1, "the upper end of the range"),
        ),
        conflict=_sigmoid_conflict,
    ),
    Function(
        name="log_sigmoid",
        formula="-log(1 + exp(-x))",
        range="(-inf, 0)",
        derivative="1 / (1 + exp(x))",
        value_derivative="1 - exp(y)",
        error="2 u",
        bound=2.0,
        gradient_bound=2.75,
        source="M. Mächler, Accurately computing log(1 - exp(-|a|)), 2012",
        vanishing="on the right, as exp(-x)",
        best_use="logarithm of a probability; loss",
        one_liner="-np.log1p(np.exp(-x))",
        numpy=lambda np, x, out=None: np.negative(np.log1p(np.exp(-x)), out=out),
        plain=lambda xp, x: -_plain_softplus(xp, -x),
        exact=lambda mp, x: -_exact_softplus(mp, -x),
        scipy="log_expit",
        torch="nn.functional.logsigmoid",
    ),
    Function(
        name="logit",
        formula="log(x / (1 - x))",
        range="(-inf, inf), for x in [0, 1]",
        derivative="1 / (x (1 - x))",
        value_derivative="(1 + exp(y)) (1 + exp(-y))",
        error="2.5 u",
        bound=2.5,
        gradient_bound=4.0,
        source="J. Berkson, 1944",
        vanishing="nowhere: at least 4",
        best_use="from a probability back to the raw prediction",
        one_liner="np.log(x / (1 - x))",
        numpy=lambda np, x, out=None: np.log(x / (1 - x), out=out),
        plain=_plain_logit,
        exact=lambda mp, x: mp.log(x) - mp.log1p(-x),
        scipy="logit",
        torch="logit",
    ),
    Function(
        name="inverse_probit",
        formula="(1 + erf(x / sqrt(2))) / 2",
        range="(0, 1)",
        derivative="exp(-x^2 / 2) / sqrt(2 pi)",
        error="7 u",
        bound=7.0,
        gradient_bound=4.0,
        source="C. Bliss, 1934; tail after M. Shepherd, J. Laframboise, 1981",
        vanishing="on both sides, as exp(-x^2 / 2)",
        best_use="probability by a model with the probit link",
        one_liner="scipy.special.ndtr(x)",
        numpy=lambda _, x, out=None, ndtr=None: ndtr(x, out=out),
        plain=_plain_probit,
        exact=_exact_probit,
        scipy="ndtr",
        torch="special.ndtr",
        needed="ndtr",
    ),
    Function(
        name="inverse_cloglog",
        formula="1 - exp(-exp(x))",
        range="(0, 1)",
        derivative="exp(x - exp(x))",
        error="3 u",
        bound=3.0,
        gradient_bound=7.0,
        source="R. A. Fisher, 1922",
        vanishing="on both sides, as exp(x) and exp(-exp(x))",
        best_use="probability by a model with the complementary log-log link",
        one_liner="1 - np.exp(-np.exp(x))",
        numpy=lambda np, x, out=None: np.subtract(1, np.exp(-np.exp(x)), out=out),
        plain=_plain_rising,
        exact=_exact_rising,
    ),
    Function(
        name="inverse_loglog",
        formula="exp(-exp(-x))",
        range="(0, 1)",
        derivative="exp(-x - exp(-x))",
        error="5 u",
        bound=5.0,
        gradient_bound=7.0,
        source="E. J. Gumbel, 1935",
        vanishing="on both sides, as exp(-exp(-x)) and exp(-x)",
        best_use="probability by a model with the log-log link",
        one_liner="np.exp(-np.exp(-x))",
        numpy=lambda np, x, out=None: np.exp(-np.exp(-x), out=out),
        plain=lambda xp, x: _plain_falling(xp, -x),
        exact=lambda mp, x: _exact_falling(mp, -x),
    ),
    Function(
        name="inverse_cauchit",
        formula="1/2 + atan(x) / pi",
        range="(0, 1)",
        derivative="1 / (pi (1 + x^2))",
        error="3 u",
        bound=3.0,
        gradient_bound=6.0,
        source="A. L. Cauchy, 1853",
        vanishing="on both sides, as 1 / x^2",
        best_use="probability by a model with the cauchit link",
        one_liner="0.5 + np.arctan(x) / np.pi",
        numpy=lambda np, x, out=None: np.add(0.5, np.arctan(x) / np.pi, out=out),
        plain=_plain_cauchit,
        exact=_exact_cauchit,
    ),
    Function(
        name="tanh",
        formula="(exp(x) - exp(-x)) / (exp(x) + exp(-x))",
        range="(-1, 1)",
        derivative="1 / cosh(x)^2",
        value_derivative="(1 - y) (1 + y)",
        error="2 u; 3 u with reproducible",
        bound=3.0,
        gradient_bound=6.0,
        source="the function of the C library, or numpy's own",
        vanishing="on both sides, as 4 exp(-2|x|)",
        best_use="hidden layers that should be centred at 0; recurrent cells",
        one_liner="np.tanh(x)",
        numpy=lambda np, x, out=None: np.tanh(x, out=out),
        plain=lambda xp, x: xp.tanh(x),
        exact=lambda mp, x: mp.tanh(x),
        torch="tanh",
    ),
    Function(
        name="relu",
        formula="max(x, 0)",
        range="[0, inf)",
        derivative="1 where x > 0, else 0",
        value_derivative="1 where y > 0, else 0",
        error="exact",
        bound=0.0,
        gradient_bound=0.0,
        source="V. Nair, G. Hinton, 2010",
        vanishing="zero for x <= 0: units can die",
        best_use="hidden layers: the first choice",
        one_liner="np.maximum(x, 0)",
        numpy=lambda np, x, out=None: np.maximum(x, 0, out=out),
        plain=_plain_relu,
        exact=lambda mp, x: x if x > 0 else mp.mpf(0),
        torch="relu",
    ),
    Function(
        name="leaky_relu",
        formula="x where x > 0, else alpha x",
        range="(-inf, inf)",
        derivative="1 where x > 0, else alpha",
        value_derivative="1 where y > 0, else alpha",
        error="0.5 u",
        bound=0.5,
        gradient_bound=0.0,
        source="A. Maas, A. Hannun, A. Ng, 2013",
        vanishing="nowhere while alpha > 0",
        best_use="hidden layers where units of relu die",
        one_liner="np.where(x > 0, x, alpha * x)",
        numpy=_numpy_leaky_relu,
        plain=lambda xp, x, alpha=0.01: xp.where(x > 0, x, alpha * x),
        exact=lambda mp, x, alpha=0.01: x if x > 0 else mp.mpf(alpha) * x,
        torch="nn.functional.leaky_relu",
        parameters=(Parameter("alpha", 0.01, "slope for x < 0", least=0, most=1),),
    ),
    Function(
        name="softplus",
        formula="log(1 + exp(x))",
        range="(0, inf)",
        derivative="1 / (1 + exp(-x))",
        value_derivative="1 - exp(-y)",
        error="2 u",
        bound=2.0,
        gradient_bound=2.75,
        source="C. Dugas et al., 2001",
        vanishing="on the left, as exp(x)",
        best_use="a positive number: scale, variance, rate",
        one_liner="np.logaddexp(0, x)",
        numpy=lambda np, x, out=None: np.logaddexp(0, x, out=out),
        plain=_plain_softplus,
        exact=_exact_softplus,
        torch="nn.functional.softplus",
    ),
    Function(
        name="silu",
        formula="x / (1 + exp(-x))",
        range="[-0.2785, inf)",
        derivative="p + x p (1 - p), p = sigmoid(x)",
        error="3.25 u",
        bound=3.25,
        gradient_bound=7.0,
        gradient_slack=_between(-2.0, -1.0),
        gradient_remark=", and 4e-16 near its zero at -1.28",
        source="S. Elfwing, E. Uchibe, K. Doya, 2017",
        vanishing="on the left, as x exp(x)",
        best_use="hidden layers of deep networks",
        one_liner="x / (1 + np.exp(-x))",
        numpy=lambda np, x, out=None: np.divide(x, 1 + np.exp(-x), out=out),
        plain=_plain_silu,
        exact=lambda mp, x: x / (1 + mp.exp(-x)),
        torch="nn.functional.silu",
    ),
    Function(
        name="hard_sigmoid",
        formula="min(max((x + 3) / 6, 0), 1)",
        range="[0, 1]",
        derivative="1/6 where |x| < 3, else 0",
        value_derivative="1/6 where 0 < y < 1, else 0",
        error="1.25 u",
        bound=1.25,
        gradient_bound=0.5,
        source="A. Howard et al., MobileNetV3, 2019",
        vanishing="zero for |x| >= 3",
        best_use="gates where exp is too slow",
        one_liner="np.clip((x + 3) / 6, 0, 1)",
        numpy=lambda np, x, out=None: np.clip((x + 3) / 6, 0, 1, out=out),
        plain=_plain_hard_sigmoid,
        exact=lambda mp, x: min(max((x + 3) / 6, mp.mpf(0)), mp.mpf(1)),
        torch="nn.functional.hardsigmoid",
    ),
    Function(
        name="gelu",
        formula="x (1 + erf(x / sqrt(2))) / 2",
        range="[-0.17, inf)",
        derivative="Phi(x) + x phi(x), of the normal distribution",
        error="7 u",
        bound=7.0,
        gradient_bound=10.0,
        gradient_slack=_between(-1.5, -0.25),
        gradient_remark=", and 4e-16 near its zero at -0.75",
        source="D. Hendrycks, K. Gimpel, 2016; tail after M. Shepherd, J. Laframboise, 1981",
        vanishing="on the left, as x exp(-x^2 / 2)",
        best_use="transformers",
        one_liner="x * (1 + scipy.special.erf(x / np.sqrt(2))) / 2",
        numpy=lambda np, x, out=None, erf=None: np.divide(x * (1 + erf(x / np.sqrt(2))), 2, out=out),
        plain=_plain_gelu,
        exact=_exact_gelu,
        torch="nn.functional.gelu",
        needed="erf",
    ),
    Function(
        name="gelu_tanh",
        formula="x (1 + tanh(v / 2)) / 2, v = 2 sqrt(2/pi) (x + 0.044715 x^3)",
        range="[-0.17, inf)",
        derivative="p + x p (1 - p) v', p = sigmoid(v)",
        error="4 u + 2.5 |v| u",
        bound=4.0,
        slack=lambda x, y: 2.5 * 2.0**-52 * abs(float(_gelu_argument(x)) * y),
        gradient_bound=8.0,
        gradient_slack=_gelu_tanh_slack,
        gradient_remark=" + 3 |v| u, and 4e-16 near its zero at -0.75",
        source="D. Hendrycks, K. Gimpel, 2016",
        vanishing="on the left, as exp(-|v|)",
        best_use="transformers that were trained with this form",
        one_liner="0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))",
        numpy=_numpy_gelu_tanh,
        plain=_plain_gelu_tanh,
        exact=_exact_gelu_tanh,
        torch="nn.functional.gelu",
        torch_options={"approximate": "tanh"},
    ),
    Function(
        name="elu",
        formula="x where x > 0, else alpha (exp(x) - 1)",
        range="(-alpha, inf)",
        derivative="1 where x > 0, else alpha exp(x)",
        value_derivative="1 where y > 0, else y + alpha",
        error="2 u",
        bound=2.0,
        gradient_bound=2.0,
        source="D. Clevert, T. Unterthiner, S. Hochreiter, 2015",
        vanishing="on the left, as exp(x)",
        best_use="hidden layers with a mean near 0",
        one_liner="np.where(x > 0, x, alpha * np.expm1(x))",
        numpy=_numpy_elu,
        plain=_plain_elu,
        exact=lambda mp, x, alpha=1.0: x if x > 0 else mp.mpf(alpha) * mp.expm1(x),
        torch="nn.functional.elu",
        parameters=(Parameter("alpha", 1, "minus the limit on the left", above=0),),
    ),
    Function(
        name="softmax",
        formula="exp(x_i / temperature) / sum over j of exp(x_j / temperature)",
        range="(0, 1), the sum 1",
        derivative="p_i (1 - p_i) / temperature on the diagonal, -p_i p_j / temperature elsewhere",
        value_derivative="p_i times the sum of the others, / temperature",
        error="(5 + n/2 + 2 d) u, n columns, d = (max x - x_i) / temperature",
        bound=5.0,
        gradient_bound=10.0,
        gradient_remark=" + (2 n + 6 r) u, n columns, r = (max x - min x) / temperature",
        source="L. Boltzmann, 1868; J. Bridle, 1990",
        vanishing="where one column is far above the others",
        best_use="probabilities of several classes",
        one_liner="e = np.exp(x - x.max(-1, keepdims=True)); e / e.sum(-1, keepdims=True)",
        numpy=_numpy_softmax,
        plain=_plain_softmax,
        exact=_exact_softmax,
        scipy="softmax",
        torch="softmax",
        torch_options={"dim": -1},
        parameters=(_TEMPERATURE,),
        several=True,
    ),
)

FUNCTIONS: Mapping[str, Function] = {entry.name: entry for entry in _ENTRIES}

# What a hidden layer can have: functions of one column that take any number, which the logit does not.
LAYER_FUNCTIONS = tuple(name for name, entry in FUNCTIONS.items() if not entry.several and name != "logit")


def function_named(name: str) -> Function:
    """Return the entry of a function.

    Raises
    ------
    LookupError
        There is none; the message has the nearest name, or all names.
    """
    if name not in FUNCTIONS:
        raise LookupError("".join(no_function(name)))
    return FUNCTIONS[name]


def no_function(name: str) -> tuple[str, str]:
    """Return a message that there is no such function, and the question which one was meant, if one is near."""
    return _unknown(f'no function "{name}"', name, sorted(FUNCTIONS))


def _unknown(said: str, name: str, known: Sequence[str]) -> tuple[str, str]:
    question = nearest(name, known)
    return (said, question) if question else (f"{said}; there are {', '.join(known)}", "")
