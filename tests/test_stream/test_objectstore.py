"""Objects of an S3 server on loopback, read by range."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from splatpack.errors import StorageError, TruncatedError, UnsupportedError, UsageError
from splatpack.stream.objectstore import FIRST, ObjectStoreSource, is_object
from splatpack.stream.ranges import RangeReader, open_url
from tests.test_stream.net import spk

DATA = spk(40, size=20_000)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Any]]:
    """The endpoint of an S3 server with one object, and a client that can change it."""
    pytest.importorskip("obstore", reason="needs obstore (extra remote)")
    threaded = pytest.importorskip("moto.server", reason="needs moto[s3,server]")
    import boto3  # comes with moto

    host = threaded.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    host.start()
    address, port = host.get_host_and_port()
    url = f"http://{address}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    client.create_bucket(Bucket="scenes")
    client.put_object(Bucket="scenes", Key="some/fox.spk", Body=DATA)
    yield url, client
    client.close()
    host.stop()


@pytest.fixture
def store(server: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in {
        "AWS_ENDPOINT_URL": server[0], "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return server[1]


def test_an_object_is_read_by_range(store: Any) -> None:
    with ObjectStoreSource("s3://scenes/some/fox.spk") as source:
        assert source.size == len(DATA)
        for offset, length in ((0, 10), (FIRST - 5, 10), (len(DATA) - 7, 7), (len(DATA), 0)):
            assert source.read(offset, length) == DATA[offset : offset + length]
        with pytest.raises(TruncatedError):
            source.read(len(DATA) - 1, 2)
        reader = RangeReader(source)
        assert list(reader.read_many([(70_000, 9), (300_000, 5)])) == [DATA[70_000:70_009], DATA[300_000:300_005]]


def test_a_scene_is_opened_by_its_address(store: Any) -> None:
    with open_url("s3://scenes/some/fox.spk") as reader:
        assert reader.chunk_bytes(reader.chunks[7]) == DATA[reader.chunks[7].offset :][: reader.chunks[7].length]


@pytest.mark.parametrize("url", ["s3://scenes/none.spk", "s3://nowhere/fox.spk"])
def test_what_is_not_there(store: Any, url: str) -> None:
    with pytest.raises(StorageError, match=url):
        ObjectStoreSource(url)


def test_an_object_that_changes_is_not_mixed(store: Any) -> None:
    store.put_object(Bucket="scenes", Key="turn.spk", Body=DATA)
    source = ObjectStoreSource("s3://scenes/turn.spk")
    store.put_object(Bucket="scenes", Key="turn.spk", Body=DATA[::-1])
    with pytest.raises(StorageError, match="has changed"):
        source.read(FIRST + 10, 10)


@pytest.mark.parametrize("url", ["s3://", "s3://bucket", "s3://bucket/", "ftp://bucket/key", "s3:/bucket/key"])
def test_addresses_that_are_none(url: str) -> None:
    pytest.importorskip("obstore", reason="needs obstore (extra remote)")
    with pytest.raises(UsageError, match="expected SCHEME"):
        ObjectStoreSource(url)


def test_addresses_are_told_from_paths() -> None:
    assert is_object("s3://a/b")
    assert not any(is_object(p) for p in ("s3", "s3:/a/b", "http://a/b", "a.spk", None))


def test_without_obstore_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UnsupportedError, match=r"splatpack\[remote\]"):
        ObjectStoreSource("s3://scenes/fox.spk")
