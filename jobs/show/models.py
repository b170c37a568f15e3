"""What is known of a model file, as text or as JSON."""

from __future__ import annotations

from jobs.show import console, document
from jobs.show.tables import emit_model
from pipeline import modelling
from pipeline.choices import IfExists
from pipeline.report.models import check_json, model_json, upgrade_json
from pipeline.units import escape, format_count


def show_model(path: str, *, all_digits: bool, as_json: bool) -> None:
    """Show a model: its facts, and a table of its numbers."""
    if as_json:
        document.write(model_json(path, modelling.described_model(path)))
    else:
        emit_model(modelling.shown_model(path), all_digits=all_digits)


def show_check(path: str, *, as_json: bool) -> None:
    """Show that a model file is valid.

    Raises
    ------
    ModelError
        It is not; as JSON, everything that is wrong has been written.
    """
    found = modelling.checked_model(path)
    if as_json:
        document.write(check_json(path, found))
    if found.error is not None:
        raise found.error
    if not as_json:
        features = f"{format_count(found.features or 0)} feature{'' if found.features == 1 else 's'}"
        console.confirm(f"{escape(path)}: valid, {features}")


def show_upgrade(path: str, output: str, *, if_exists: IfExists, as_json: bool) -> None:
    """Write a model file in the newest version and show what changed."""
    found = modelling.upgraded_model(path, output, if_exists=if_exists)
    if as_json:
        document.write(upgrade_json(path, output, found))
    elif found.before == found.after:
        copied = f"; copied to {escape(output)}" if found.written else ""
        console.confirm(f"{escape(path)}: version {found.after} already, nothing changed{copied}")
    else:
        changed = f"version {found.before} became {found.after}; nothing else changed, scores keep their bits"
        console.confirm(f"{escape(output)}: {changed}\ndigest {found.digest_before} became {found.digest_after}")
