"""The pass for average marginal effects over a prepared scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.outcome.effect_sums import EffectSummer, EffectSums, join_effects
from pipeline.fitting.outcome.effects import EffectPlan
from pipeline.fitting.passes.holding import store_of
from pipeline.fitting.passes.packing import pack_arrays, unpack_arrays
from pipeline.fitting.passes.plain import from_plain, to_plain
from pipeline.fitting.passes.scanning import ScanPasses, encoder_of, paths_of
from pipeline.fitting.tiles.layout import Floats
from pipeline.kernels.blas import one_thread
from pipeline.scan import ChunkContext
from pipeline.types.work import Outcome


def sum_effects(context: ChunkContext) -> Outcome[EffectSums]:
    """Return the sums of the effects of the rows of a chunk: the step."""
    head, (coefficients,) = unpack_arrays(context.parameters)
    summer = EffectSummer(context.once("design", _design), from_plain(EffectPlan, head["plan"]), coefficients)
    store = context.once("holding", store_of)
    with one_thread(), store.walk(context) as walk:
        for runs in context.once("encoder", encoder_of).runs(walk.batches(), paths_of(context)):
            summer.add(runs)
        return walk.outcome(summer.done())


def effects_over(passes: ScanPasses, plan: EffectPlan, coefficients: Floats) -> EffectSums:
    """Return the sums of the effects of all rows, in one pass; the same bits on every scheduler.

    Parameters
    ----------
    passes : ScanPasses
        Its design has :func:`pipeline.fitting.outcome.effects.effect_numbers` as ``extra``.
    plan : EffectPlan
    coefficients : ndarray of float64, shape (outputs, width)
    """
    parameters = pack_arrays({"plan": to_plain(plan)}, [coefficients])
    found = passes.scan.reduce(sum_effects, join_effects, confirmed=passes.confirmed, parameters=parameters)
    return EffectSummer(passes.design, plan, coefficients).done() if found is None else found


def _design(settings: Mapping[str, Any]) -> FitDesign:
    return from_plain(FitDesign, settings["design"])
