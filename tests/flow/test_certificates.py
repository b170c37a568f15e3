"""What a person reads whose certificates or address do not fit the scheduler, on real ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.cli import run as run_command
from tests.contracts.certificates import Certificates, make_authority, make_certificates
from tests.contracts.cluster import ROOT, start_scheduler

pytestmark = pytest.mark.slow

SAMPLE = ROOT / "sample_data"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@dataclass(frozen=True)
class World:
    """Addresses of schedulers by what they have, and certificates by what is wrong with them."""

    addresses: dict[str, str]
    certificates: dict[str, Certificates]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    authority = make_authority()

    def made(**options: object) -> Certificates:
        return make_certificates(tmp_path_factory.mktemp("certificates"), **options)  # type: ignore[arg-type]

    good, strange = made(authority=authority), made()
    certificates = {
        "good": good,
        "all of another authority": strange,
        "signed by another authority": replace(strange, ca=good.ca),
        "expired": made(authority=authority, not_after=YESTERDAY),
    }
    with (
        start_scheduler(tmp_path_factory.mktemp("plain")) as plain,
        start_scheduler(tmp_path_factory.mktemp("encrypted"), good.environment) as encrypted,
        start_scheduler(tmp_path_factory.mktemp("expired"), certificates["expired"].environment) as expired,
    ):
        addresses = {"plain": plain.address, "encrypted": encrypted.address, "expired": expired.address}
        yield World(addresses, certificates)


REFUSED = {
    "the authority of another cluster": (
        *("encrypted", "tls", "all of another authority"),
        *("the certificate of the scheduler at {} was not signed by the authority that was named", "--tls-ca"),
    ),
    "a certificate of another authority": (
        *("encrypted", "tls", "signed by another authority"),
        *("the scheduler at {} does not accept the certificate", "another authority than that of the cluster"),
    ),
    "a certificate that has expired": (
        *("encrypted", "tls", "expired"),
        *("the scheduler at {} does not accept the certificate", "it has expired"),
    ),
    "a scheduler whose certificate has expired": (
        *("expired", "tls", "good"),
        *("the certificate of the scheduler at {} has expired", "start the scheduler with a valid one"),
    ),
    "tls:// for a scheduler that does not encrypt": (
        *("plain", "tls", "good"),
        *("the scheduler at {} does not encrypt its connections", "write tcp://127.0.0.1:"),
    ),
    "tcp:// for a scheduler that encrypts": (
        *("encrypted", "tcp", None),
        *("the scheduler at {} takes encrypted connections only", "write tls://127.0.0.1:"),
    ),
}


@pytest.mark.parametrize("why", REFUSED)
@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--performance-report", "report.html")], ids=str)
def test_a_connection_that_cannot_be_made_is_explained_before_dask_gives_up(
    world: World,
    why: str,
    more: tuple[str, ...],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler, protocol, kind, message, remedy = REFUSED[why]
    monkeypatch.setattr("pipeline.execute.securing.find_spec", lambda package: package)
    monkeypatch.chdir(tmp_path)
    address = f"{protocol}://{world.addresses[scheduler].partition('://')[2]}"
    options = {} if kind is None else world.certificates[kind].options
    words = [word for name, path in options.items() for word in (f"--{name.replace('_', '-')}", path)]
    inputs = [str(SAMPLE / "flights"), "--model", str(SAMPLE / "delay_model.json"), "--output", "out"]
    assert run_command(["score", *inputs, "--scheduler", address, *words, *more]) == 78
    said = capfd.readouterr().err
    assert message.format(address) in said
    assert remedy in said
    assert "Traceback" not in said
    assert "distributed" not in said
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "report.html").exists()
