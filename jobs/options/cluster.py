"""Options for a run on a Dask cluster: how it is reached, and how one is started."""

from __future__ import annotations

from typing import Any

import click

from jobs.hiding import show_others
from jobs.options import completion, values
from jobs.options.command import CLUSTER as SECTION
from jobs.options.command import Decorator, option
from pipeline.options import meaning

_EXTRA = "Needs the extra cluster: pip install 'logitstream[cluster]'."


def _drawn(_: click.Context, __: click.Parameter, value: Any) -> Any:
    """Let what is used of clusters import what it needs: bokeh needs pandas if it is there."""
    if value:
        show_others()
    return value


def _file(flag: str, name: str, metavar: str = "FILE.pem", extra: str = "", **more: Any) -> Decorator:
    help_ = f"{meaning(name)}{extra}"
    return option(flag, section=SECTION, type=values.PATH, is_path=True, metavar=metavar, help=help_, **more)


insecure = option("--insecure", section=SECTION, is_flag=True, help=meaning("insecure"))
tls_ca = _file("--tls-ca", "tls_ca")
tls_cert = _file("--tls-cert", "tls_cert")
tls_key = _file("--tls-key", "tls_key")
cluster = option(
    "--cluster",
    section=SECTION,
    type=values.CLUSTER_CLASS,
    callback=_drawn,
    shell_complete=completion.words("distributed:LocalCluster", "dask_jobqueue:SLURMCluster"),
    metavar="CLASS",
    help=meaning("cluster"),
)
cluster_options = _file("--cluster-options", "cluster_options", "FILE.toml")
adapt = option(
    "--adapt",
    section=SECTION,
    type=values.ADAPT,
    shell_complete=completion.words("0..4", "0..40"),
    metavar="MIN..MAX",
    help=meaning("adapt"),
)
dashboard = option(
    "--dashboard", section=SECTION, is_flag=True, callback=_drawn, help=f"{meaning('dashboard')} {_EXTRA}"
)
performance_report = _file("--performance-report", "performance_report", "FILE.html", f" {_EXTRA}", callback=_drawn)

wait_workers = option(
    "--wait-workers", section=SECTION, type=values.DURATION, metavar="TIME", help=meaning("wait_workers")
)
scheduler_timeout = option(
    "--scheduler-timeout", section=SECTION, type=values.DURATION, metavar="TIME", help=meaning("scheduler_timeout")
)

CLUSTER = (
    *(insecure, tls_ca, tls_cert, tls_key),
    *(cluster, cluster_options, adapt, dashboard, performance_report),
    *(wait_workers, scheduler_timeout),
)
