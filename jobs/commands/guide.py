"""``logitstream guide``: the pages of the guide, on a terminal."""

from __future__ import annotations

import difflib

import click

from jobs.options.command import JobCommand

# In the order in which a newcomer reads them; each is a file of jobs/guide/.
TOPICS = (
    "first-steps",
    "functions",
    "models",
    "fit",
    "fit-network",
    "calibrate",
    "evaluate",
    "model-file",
    "other-tools",
    "networks",
    "csv",
    "operations",
    "memory",
    "cluster",
    "guarantees",
    "performance",
    "design",
)


class Topic(click.Choice[str]):
    """The name of a page. For a wrong name the error has the nearest one."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's
        """Return what is wrong with a name, and which topics there are."""
        near = difflib.get_close_matches(str(value), TOPICS, 1)
        hint = f"Did you mean '{near[0]}'?" if near else f"The topics are {', '.join(TOPICS)}."
        return f"there is no topic {str(value)!r}. {hint}"


@click.command(
    "guide",
    cls=JobCommand,
    example="logitstream guide memory",
    uses_demo=False,
)
@click.argument("topic", required=False, metavar="[TOPIC]", type=Topic(TOPICS))
def command(topic: str | None) -> None:
    """Show the page of the guide about TOPIC. Without TOPIC, list the topics.

    A page is drawn for 80 columns, in colour on a terminal and as plain text elsewhere. To read it page by page:
    'logitstream guide memory | less'.
    """
    from jobs.show.pages import emit_page, emit_topics  # noqa: PLC0415 - --help stays light

    if topic is None:
        emit_topics(TOPICS)
    else:
        emit_page(topic)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["guide", *sys.argv[1:]])
