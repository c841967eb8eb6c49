"""Settings, registry and cache."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from splatpack.container.layout import content_hash
from splatpack.container.source import MemorySource
from splatpack.errors import ChecksumError, SplatpackError, StorageError, TruncatedError, UsageError
from splatpack.server.auth import Gate
from splatpack.server.cache import ChunkCache
from splatpack.server.config import ServerConfig, load
from splatpack.server.log import Formatter
from splatpack.server.registry import Registry


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text('port = 1\nhost = "h"\nidle = 7\norigins = ["https://a"]\n')
    environment = {"SPLATPACK_SERVE_PORT": "2", "SPLATPACK_SERVE_TOKENS": "first one, second one", "OTHER": "x"}
    made = load(str(file), environment, {"port": 3, "host": None, "origins": ()})
    assert (made.port, made.host, made.idle) == (3, "h", 7.0)
    assert made.origins == ("https://a",)
    assert made.tokens == ("first one", "second one")
    assert load(str(file), environment).port == 2
    assert made.session.idle == 7.0
    assert made.session.bytes_per_second is None


@pytest.mark.parametrize(
    "text",
    ["prot = 1", 'port = "1"', "port = true", "port = 70000", "port = -1", 'origins = "x"', "port", 'log = "loud"',
     'tls_cert = "a"', 'tokens = ["short"]', "idle = nan", "workers = 0"],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "serve.toml"
    file.write_text(text)
    with pytest.raises(UsageError):
        load(str(file), {})


def test_a_setting_of_the_environment_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="SPLATPACK_SERVE_PROT"):
        load(None, {"SPLATPACK_SERVE_PROT": "1"})
    with pytest.raises(UsageError, match="expected a int"):
        load(None, {"SPLATPACK_SERVE_PORT": "x"})
    with pytest.raises(StorageError):
        load("/no/such/file.toml", {})


def test_a_config_survives_as_plain_values() -> None:
    config = ServerConfig(origins=("a",), port=5)
    plain: dict[str, Any] = json.loads(json.dumps(config.as_dict()))
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
    assert ServerConfig(**plain) == config


def test_scenes_come_from_files_and_folders(folder: Path) -> None:
    registry = Registry([str(folder / "fox.spk"), str(folder / "paged.spk")])
    assert [s.index.name for s in registry] == ["fox", "paged"]
    assert registry.lookup("fox") is not None
    assert registry.lookup("") is None
    registry.close()
    one = Registry([str(folder / "fox.spk")])
    assert one.lookup("") is one.lookup("fox")
    one.close()


@pytest.mark.parametrize("what", ["twice", "nothing", "name", "empty", "damaged", "text"])
def test_scenes_that_cannot_be_served_stop_the_start(folder: Path, tmp_path: Path, what: str) -> None:
    fox = folder / "fox.spk"
    (tmp_path / "empty").mkdir()
    (tmp_path / "a b.spk").write_bytes(fox.read_bytes())
    (tmp_path / "bad.spk").write_bytes(fox.read_bytes()[:-1])
    paths = {
        "twice": [fox, folder], "nothing": [tmp_path / "none.spk"], "name": [tmp_path / "a b.spk"],
        "empty": [tmp_path / "empty"], "damaged": [tmp_path / "bad.spk"], "text": [folder / "secret.txt"],
    }[what]  # fmt: skip
    with pytest.raises(SplatpackError):
        Registry([str(p) for p in paths])


class Slow(MemorySource):
    """Counts its reads."""

    reads = 0

    def _read(self, offset: int, length: int) -> bytes:
        self.reads += 1
        return super()._read(offset, length)


def test_an_item_is_read_once_for_all_who_wait_and_survives_one_who_gives_up() -> None:
    data = bytes(range(200)) * 50
    source = Slow(data)

    async def main() -> None:
        cache = ChunkCache(1 << 20)
        first = asyncio.create_task(cache.get(source, 0, 100, content_hash(data[:100])))
        rest = [asyncio.create_task(cache.get(source, 0, 100, content_hash(data[:100]))) for _ in range(9)]
        await asyncio.sleep(0)
        first.cancel()
        assert await asyncio.gather(*rest) == [data[:100]] * 9
        assert source.reads == 1
        assert (cache.misses, cache.bytes) == (1, 100)
        await cache.close()

    asyncio.run(main())


def test_failures_are_not_kept() -> None:
    data = bytes(1000)

    async def main() -> None:
        cache = ChunkCache(1 << 20)
        with pytest.raises(ChecksumError):
            await cache.get(MemorySource(data), 0, 10, bytes(16))
        with pytest.raises(TruncatedError):
            await cache.get(MemorySource(data), 995, 10, bytes(16))
        assert await cache.get(MemorySource(data), 0, 10, content_hash(data[:10])) == data[:10]
        assert cache.failures == 2

    asyncio.run(main())


def test_the_least_recently_used_goes_first_and_a_giant_passes_through() -> None:
    data = bytes(range(250)) * 4

    async def main() -> None:
        cache = ChunkCache(300)
        parts = [(at, content_hash(data[at : at + 100])) for at in (0, 101, 202, 303)]
        for at, digest in parts[:3]:
            await cache.get(MemorySource(data), at, 100, digest)
        assert cache.peek(parts[0][1]) is not None
        await cache.get(MemorySource(data), parts[3][0], 100, parts[3][1])
        assert [cache.peek(d) is not None for _, d in parts] == [True, False, True, True]
        await cache.get(MemorySource(data), 0, 1000, content_hash(data))
        assert cache.bytes == 300

    asyncio.run(main())


def test_the_gate_counts_by_address() -> None:
    gate = Gate(3, 2)
    assert [gate.enter(a) for a in ("x", "x", "x", "y", "z")] == [True, True, False, True, False]
    gate.leave("x")
    assert gate.enter("z")


@pytest.mark.parametrize("as_json", [True, False])
def test_log_lines_cannot_be_forged(as_json: bool) -> None:
    record = logging.makeLogRecord({"msg": "request", "levelname": "INFO", "fields": {"path": 'a\n"b', "n": 1}})
    line = Formatter(as_json).format(record)
    assert "\n" not in line
    if as_json:
        values: dict[str, Any] = json.loads(line)
        assert (values["event"], values["path"]) == ("request", 'a\n"b')
