from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.errors import PeerError
from splatpack.stream import wire

SPEC = Path(__file__).resolve().parents[2] / "spec"
VECTORS: dict[str, list[dict[str, Any]]] = json.loads((SPEC / "protocol" / "messages.json").read_text())


def _plain(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    return tuple(_plain(v) for v in value) if isinstance(value, list) else value


@pytest.mark.parametrize("case", VECTORS["good"], ids=lambda c: f"{c['kind']}-{c['hex'][:12]}")
def test_good_vectors_are_read_and_written_back(case: dict[str, Any]) -> None:
    message = wire.decode(bytes.fromhex(case["hex"]))
    assert message is not None
    assert message.kind == case["kind"]
    known = {f.name for f in fields(message)}
    for key, value in case["body"].items():
        if key in known:
            assert getattr(message, key) == _plain(value)
    assert wire.decode(wire.encode(message)) == message


@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda c: c["why"])
def test_bad_vectors_close_the_connection(case: dict[str, Any]) -> None:
    with pytest.raises(PeerError) as caught:
        wire.decode(bytes.fromhex(case["hex"]))
    assert caught.value.close_code == case["close"] == 4400


def test_an_extension_is_ignored() -> None:
    assert wire.decode(bytes.fromhex(VECTORS["ignored"][0]["hex"])) is None


def test_every_kind_has_a_vector_and_a_row_in_the_specification() -> None:
    assert {c["kind"] for c in VECTORS["good"]} == set(wire.CONTROLS)
    text = (SPEC / "protocol.md").read_text()
    for kind, cls in wire.CONTROLS.items():
        heading = f"### {kind} {''.join('_' * (i > 0 and c.isupper()) + c for i, c in enumerate(cls.__name__)).upper()}"
        assert heading in text
        section = text.split(heading)[1].split("\n### ")[0].split("\n## ")[0]
        for f in fields(cls):
            assert f"| `{f.name}` |" in section, f"{cls.__name__}.{f.name}"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        message = wire.decode(data)
    except PeerError as error:
        if error.close_code != 4400:
            raise
    else:
        assert message is None or wire.decode(wire.encode(message)) == message


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.binary(min_size=1, max_size=300), st.data())
def test_fragments_survive(sid: int, item: int, body: bytes, data: st.DataObject) -> None:
    before, after = data.draw(st.integers(0, 500)), data.draw(st.integers(0, 500))
    flags = (wire.FIRST if before == 0 else 0) | (wire.LAST if after == 0 else 0)
    fragment = wire.Fragment(flags, sid, item, before + len(body) + after, before, 7, body)
    back = wire.decode(wire.encode(fragment))
    assert back == fragment


def test_deep_nesting_is_refused_without_recursion() -> None:
    with pytest.raises(PeerError, match="msgpack"):
        wire.decode(b"\x06" + b"\x91" * 60_000)
