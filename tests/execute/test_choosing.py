"""Which scheduler a run uses: every rule, and what is refused, without any cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.config
import pytest

from pipeline.errors import ConfigurationError, LogitstreamError, UnavailableError, UsageError
from pipeline.execute import choose_scheduler
from pipeline.options import SchedulerOptions, completed
from pipeline.schedulers import ClusterWishes, StartedCluster
from tests.contracts.certificates import make_certificates

AT_HOME = "tcp://127.0.0.1:8786"
FAR = "tcp://192.0.2.1:8786"


@dataclass
class Elsewhere:
    """What clusters of all kinds have in common: of SSH, of SLURM, of Kubernetes."""

    scheduler_address: str = FAR
    status: str = "running"
    security: object = "theirs"


def chosen(**options: Any) -> tuple[str, ClusterWishes]:
    return choose_scheduler(completed(SchedulerOptions(**options)))  # type: ignore[typeddict-item]


def test_threads_are_the_default() -> None:
    assert chosen() == ("threads", ClusterWishes())


@pytest.mark.parametrize("name", ["threads", "processes", "sync", AT_HOME])
def test_what_is_asked_for_comes_before_everything_that_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")
    assert chosen(scheduler=name) == (name, ClusterWishes("option"))


def test_the_variable_comes_before_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    with dask.config.set({"scheduler-address": "tcp://127.0.0.1:2"}):
        assert chosen() == ("tcp://127.0.0.1:2", ClusterWishes("configuration"))
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", AT_HOME)
        assert chosen() == (AT_HOME, ClusterWishes("environment"))


@pytest.mark.parametrize("far", [{"scheduler": FAR}, {"scheduler": "file"}, {}])
def test_an_address_of_a_flag_a_file_or_the_environment_obeys_insecure(
    far: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", FAR)
    if far.get("scheduler") == "file":
        path = tmp_path / "scheduler.json"
        path.write_text(json.dumps({"type": "Scheduler", "address": FAR}))
        far = {"scheduler": str(path)}
    with pytest.raises(ConfigurationError, match="is not on this machine"):
        chosen(**far)
    name, wishes = chosen(**far, insecure=True)
    assert (name, wishes.insecure) == (FAR, True)


def test_a_cluster_that_is_handed_over_is_its_callers_decision() -> None:
    name, wishes = chosen(scheduler=Elsewhere())
    assert (name, wishes.chosen_by, wishes.trusted, wishes.security) == (FAR, "object", True, "theirs")


def test_a_cluster_may_have_no_security_of_its_own() -> None:
    plain = SimpleNamespace(scheduler_address=FAR, status="running")
    assert chosen(scheduler=plain)[1].security is None


def test_a_scheduler_file_names_the_address(tmp_path: Path) -> None:
    path = tmp_path / "there.json"
    path.write_text(json.dumps({"address": AT_HOME, "workers": {}}))
    assert chosen(scheduler=str(path)) == chosen(scheduler=path) == (AT_HOME, ClusterWishes("file"))
    path.write_text("{}")
    with pytest.raises(ConfigurationError, match="has no address of a scheduler"):
        chosen(scheduler=path)
    with pytest.raises(UnavailableError, match="there is no scheduler file"):
        chosen(scheduler=str(tmp_path / "none.json"))


def test_a_local_cluster_has_processes_and_threads(with_extras: None) -> None:
    assert chosen(scheduler="local")[1].start == StartedCluster()
    for text in ("local:processes=3,threads=2", "local[processes=3,threads=2]"):
        assert chosen(scheduler=text)[1].start == StartedCluster(processes=3, threads=2)
    found = chosen(scheduler="local", adapt="0..40", dashboard=True, performance_report="r.html")[1]
    assert found.start == StartedCluster(adapt=(0, 40), dashboard=True)
    assert found.performance_report == "r.html"


@pytest.mark.parametrize(
    ("text", "adapt", "workers", "threads"),
    [
        ("local", None, 3, [1, 1, 1]),
        ("local:processes=2,threads=2", None, 4, [2, 2]),
        ("local:processes=2,threads=2", None, 3, [2, 1]),
        ("local:processes=2,threads=2", None, 1, [1]),
        ("local:threads=2", "0..9", 5, [2, 2]),
        ("local:threads=2", "0..9", 1, [1]),
    ],
)
def test_a_local_cluster_has_never_more_threads_than_workers_fit(
    text: str, adapt: str | None, workers: int, threads: list[int], with_extras: None
) -> None:
    start = chosen(scheduler=text, adapt=adapt)[1].start
    assert start is not None
    assert start.threads_of_processes(workers) == threads


def test_a_class_of_clusters_gets_its_options() -> None:
    name, wishes = chosen(cluster="dask_jobqueue:SLURMCluster", cluster_options="o.toml", adapt="1..4")
    assert (name, wishes.chosen_by) == ("dask_jobqueue:SLURMCluster", "option")
    assert wishes.start == StartedCluster("dask_jobqueue:SLURMCluster", "o.toml", (1, 4))


@pytest.fixture
def with_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it look as if the extra was installed: nothing is started here."""
    monkeypatch.setattr("pipeline.execute.securing.find_spec", lambda package: package)


@pytest.mark.parametrize(
    ("options", "package"),
    [
        ({"scheduler": "local"}, "cryptography"),
        ({"scheduler": AT_HOME, "performance_report": "r.html"}, "bokeh"),
    ],
)
def test_what_needs_the_extra_names_it(options: dict[str, Any], package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=f"needs the package {package}, which is not installed") as caught:
        chosen(**options)
    assert caught.value.remedy == "pip install 'logitstream[cluster]'"


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"scheduler": "localhost:8786"}, UsageError, "write tcp://localhost:8786"),
    ({"scheduler": "dask"}, UsageError, "there is no scheduler 'dask'"),
    ({"scheduler": "client"}, UsageError, "there is no active Dask client"),
    ({"scheduler": "local:threads=0"}, UsageError, "'threads=0' cannot be used"),
    ({"scheduler": ["threads"]}, TypeError, "scheduler is the list"),
    ({"scheduler": Elsewhere(status="closed")}, UsageError, "is not connected: its status is closed"),
    ({"scheduler": Elsewhere("<Not Connected>")}, UsageError, "is not connected"),
    ({"scheduler": "sync", "cluster": "a:B"}, UsageError, "leave one of them out"),
    ({"cluster": "LocalCluster"}, UsageError, "write MODULE:CLASS"),
    ({"cluster": "a:B", "dashboard": True}, UsageError, "--dashboard is for --scheduler local"),
    ({"cluster": "a:B", "adapt": "9..3"}, UsageError, "not a range of workers"),
    ({"adapt": "0..3"}, UsageError, "--adapt is for a cluster that the run starts, not for threads"),
    ({"scheduler": AT_HOME, "dashboard": True}, UsageError, "--dashboard is for a cluster that the run starts"),
    ({"scheduler": "local:processes=1", "adapt": "0..2"}, UsageError, "leave one of them out"),
    ({"cluster_options": "o.toml"}, UsageError, "--cluster-options is for a cluster"),
    ({"scheduler": "local", "cluster_options": "o.toml"}, UsageError, "write local:processes=4"),
    ({"performance_report": "r.html"}, UsageError, "there is none with threads"),
    ({"scheduler": "tls://h:1", "tls_ca": "ca", "tls_key": "key"}, UsageError, "--tls-cert is missing"),
    ({"scheduler": AT_HOME, "tls_ca": "a", "tls_cert": "b", "tls_key": "c"}, UsageError, "are for a tls:// address"),
    ({"scheduler": "tls://127.0.0.1:1"}, ConfigurationError, "asks for a certificate, and none is known"),
]


@pytest.mark.parametrize(("options", "kind", "message"), REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_connected(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        chosen(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("address", "message"),
    [("localhost:8786", "write tcp://localhost:8786"), ("threads", "is 'threads', not an address")],
)
def test_a_variable_that_cannot_be_used_is_named(address: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    with pytest.raises(ConfigurationError, match=r"^DASK_SCHEDULER_ADDRESS") as caught:
        chosen()
    assert message in str(caught.value)


def test_an_address_of_the_configuration_is_a_text() -> None:
    with (
        dask.config.set({"scheduler-address": 5}),
        pytest.raises(ConfigurationError, match="scheduler-address in Dask's configuration is the int 5, not an addr"),
    ):
        chosen()


@pytest.mark.parametrize("scheduler", [None, "local", AT_HOME])
def test_a_file_that_dask_cannot_read_is_named(scheduler: str | None, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("scheduler-address: [oops\n")
    code = """if True:
        from pipeline.errors import ConfigurationError
        from pipeline.execute import choose_scheduler
        from pipeline.options import SchedulerOptions, completed
        try:
            choose_scheduler(completed(SchedulerOptions(scheduler=SCHEDULER)))
        except ConfigurationError as error:
            print(error.exit_code, error.message)
    """.replace("SCHEDULER)", f"{scheduler!r})")
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "DASK_CONFIG": str(tmp_path)},
        check=True,
    ).stdout
    assert said.startswith("78 Dask cannot read its configuration: ")
    assert str(broken) in said
    assert said.count("\n") == 1


def test_encryption_that_the_configuration_requires_is_not_left_out() -> None:
    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        pytest.raises(ConfigurationError, match="requires encryption"),
    ):
        chosen(scheduler=AT_HOME)


def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem")]
    files = dict(zip(("tls_ca", "tls_cert", "tls_key"), map(str, paths), strict=True))
    with pytest.raises(LogitstreamError, match=r"ca\.pem' cannot be read"):
        chosen(scheduler="tls://127.0.0.1:1", **files)
    for path in paths:
        path.write_text("no certificate\n")
    with pytest.raises(ConfigurationError, match="are not an authority, a certificate and its key"):
        chosen(scheduler="tls://127.0.0.1:1", **files)


def test_a_private_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    address = "tls://127.0.0.1:1"
    for mode in (0o640, 0o604, 0o620):
        made.key.chmod(mode)
        with pytest.raises(ConfigurationError, match=rf"key\.pem' has a private key .*\(mode 0{mode:o}\)") as caught:
            chosen(scheduler=address, **made.options)
        assert caught.value.remedy == f"chmod 600 {made.key}"
        assert caught.value.exit_code == 78
    made.key.chmod(0o400)
    assert chosen(scheduler=address, **made.options)[0] == address


def test_a_key_of_the_configuration_of_dask_is_looked_at_too_unless_it_is_text(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    made.key.chmod(0o644)
    tls = {"ca-file": str(made.ca), "client.cert": str(made.certificate), "client.key": str(made.key)}
    for key, refused in ((str(made.key), True), (made.key.read_text(), False)):
        settings = {f"distributed.comm.tls.{name}": value for name, value in {**tls, "client.key": key}.items()}
        with dask.config.set(settings), pytest.raises(ConfigurationError) if refused else nullcontext():
            chosen(scheduler="tls://127.0.0.1:1")


def test_a_path_of_the_configuration_of_dask_is_a_text() -> None:
    with (
        dask.config.set({"distributed.comm.tls.ca-file": 5}),
        pytest.raises(ConfigurationError, match=r"^distributed\.comm\.tls\.ca-file .* not a path, but of type int"),
    ):
        chosen(scheduler="tls://127.0.0.1:1")


def test_a_key_in_the_file_of_its_certificate_has_to_be_private_too(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    both = tmp_path / "both of them.pem"
    both.write_bytes(made.certificate.read_bytes() + made.key.read_bytes())
    tls = {"ca-file": str(made.ca), "client.cert": str(both)}
    with dask.config.set({f"distributed.comm.tls.{name}": value for name, value in tls.items()}):
        both.chmod(0o644)
        with pytest.raises(ConfigurationError, match=r"both of them\.pem' has a private key") as caught:
            chosen(scheduler="tls://127.0.0.1:1")
        assert caught.value.remedy == f"chmod 600 '{both}'"
        both.chmod(0o600)
        assert chosen(scheduler="tls://127.0.0.1:1")[1].chosen_by == "option"


def test_options_of_another_type_say_what_to_write() -> None:
    for options in ({"insecure": 1}, {"dashboard": "yes"}, {"cluster": 3}, {"adapt": (0, 3)}, {"tls_ca": True}):
        (name,) = options
        with pytest.raises(TypeError, match=rf"^{name} is the "):
            chosen(**options)


def test_dask_is_not_loaded_where_no_cluster_is_used() -> None:
    code = (
        "import sys; from pipeline.interface import score_job as j; j('a.csv', sys.argv[1], 'o'); print(*sys.modules)"
    )
    model = Path(__file__).resolve().parents[2] / "sample_data" / "delay_model.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    line = [sys.executable, "-c", code, str(model)]
    found = subprocess.run(line, capture_output=True, text=True, env=environment, check=True)
    assert not {"dask", "distributed"} & set(found.stdout.split())
