"""Options for a run on a Dask cluster: how it is reached, and how one is started."""

from __future__ import annotations

from jobs.options import completion, values
from jobs.options.command import CLUSTER as SECTION
from jobs.options.command import Decorator, option
from pipeline.options import meaning

_EXTRA = "Needs the extra cluster: pip install 'logitstream[cluster]'."


def _file(flag: str, name: str, metavar: str = "FILE.pem", extra: str = "") -> Decorator:
    return option(
        flag, section=SECTION, type=values.PATH, is_path=True, metavar=metavar, help=f"{meaning(name)}{extra}"
    )


insecure = option("--insecure", section=SECTION, is_flag=True, help=meaning("insecure"))
tls_ca = _file("--tls-ca", "tls_ca")
tls_cert = _file("--tls-cert", "tls_cert")
tls_key = _file("--tls-key", "tls_key")
cluster = option(
    "--cluster",
    section=SECTION,
    type=values.CLUSTER_CLASS,
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
dashboard = option("--dashboard", section=SECTION, is_flag=True, help=f"{meaning('dashboard')} {_EXTRA}")
performance_report = _file("--performance-report", "performance_report", "FILE.html", f" {_EXTRA}")

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
