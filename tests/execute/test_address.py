"""Cluster addresses: which are refused, and with which message."""

from __future__ import annotations

import pytest
from distributed import LocalCluster

from pipeline.errors import ConfigurationError, UnavailableError, UsageError
from pipeline.execute import open_scheduler
from pipeline.execute.address import check_address


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "tcp://127.8.8.8:1", "tcp://localhost:8786", "tcp://[::1]:8786"]
)
def test_addresses_of_this_machine_pass(address: str) -> None:
    check_address(address, insecure=False)


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.7:8786", "tcp://0.0.0.0:8786", "tcp://[2001:db8::1]:80", "tcp://[::ffff:10.0.0.7]:8786"]
)
def test_a_plain_connection_beyond_this_machine_is_refused_with_what_it_means(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught, open_scheduler(address, workers=1, wave=2):
        pass
    assert address in caught.value.message
    assert "can run code as the user of the workers" in caught.value.remedy
    assert "--insecure" in caught.value.remedy
    check_address(address, insecure=True)


@pytest.mark.parametrize(
    "address",
    [
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:99999",
        "tcp://:8786",
        "tcp://127.0.0.1:8786/path",
        "tcp://user@127.0.0.1:8786",
        "tcp://[::1:8786",
        "tls://127.0.0.1",
        "ucx://127.0.0.1:8786",
    ],
)
@pytest.mark.parametrize("insecure", [True, False])
def test_other_forms_are_usage_errors(address: str, insecure: bool) -> None:
    with pytest.raises(UsageError, match="tcp://host:port"):
        check_address(address, insecure=insecure)


def test_an_encrypted_connection_may_go_beyond_this_machine() -> None:
    check_address("tls://10.0.0.7:8786", insecure=False)


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(UnavailableError, match=r"no host 'nowhere\.invalid'"):
        check_address("tcp://nowhere.invalid:8786", insecure=False)


def test_an_address_within_the_process_is_one_at_which_a_scheduler_listens() -> None:
    with LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        address = cluster.scheduler_address
        assert address.startswith("inproc://")
        check_address(address, insecure=False)
        with pytest.raises(UsageError, match="in this process"):
            check_address(f"{address}0", insecure=False)
    for gone in (address, "inproc://1", "inproc://1/2/3"):
        with pytest.raises(UsageError, match=f"there is no scheduler '{gone}' in this process"):
            check_address(gone, insecure=False)
