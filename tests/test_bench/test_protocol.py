from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from splatpack.bench.protocol import PeerError, SlowPeerError, run, work

WORKER = """
import json, sys
job = json.load(open(sys.argv[1]))
{body}
open(job["target"], "wb").write(open(job["source"], "rb").read())
json.dump({{"seconds": [0.3, 0.1, 0.2], "cpu": [0.1, 0.1, 0.1], "peak_rss": 1 << 20}}, open(job["answer"], "w"))
"""


def words(folder: Path, body: str = "") -> list[str]:
    path = folder / "worker.py"
    path.write_text(WORKER.format(body=body))
    return [sys.executable, str(path)]


def job(folder: Path) -> dict[str, str]:
    (folder / "in").write_bytes(b"content")
    return {"action": "encode", "source": str(folder / "in"), "target": str(folder / "out")}


def test_work(tmp_path: Path) -> None:
    clock = work(words(tmp_path), job(tmp_path), tmp_path, 60)
    assert (tmp_path / "out").read_bytes() == b"content"
    assert (clock.median, clock.peak_rss) == (0.2, 1 << 20)
    assert clock.spread == pytest.approx(3.0)
    assert json.loads((tmp_path / "job.json").read_text())["answer"] == str(tmp_path / "answer.json")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise SystemExit(3)", "encode: exit status 3: no message"),
        ("raise ValueError('no such thing')", "exit status 1: ValueError: no such thing"),
        ("print('first\\nlast', file=sys.stderr); raise SystemExit(1)", "exit status 1: last"),
        ("raise SystemExit(0)", "exit status 0"),
        ("open(job['answer'], 'w').write('{}'); open(job['target'], 'w'); raise SystemExit(0)", "not as agreed"),
        ("open(job['answer'], 'w').write('x'); open(job['target'], 'w'); raise SystemExit(0)", "not as agreed"),
    ],
)
def test_failures_say_why(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(PeerError, match=said):
        work(words(tmp_path, body), job(tmp_path), tmp_path, 60)


def test_files_of_an_earlier_job_do_not_count(tmp_path: Path) -> None:
    work(words(tmp_path), job(tmp_path), tmp_path, 60)
    with pytest.raises(PeerError):
        work(words(tmp_path, "raise SystemExit(0)"), job(tmp_path), tmp_path, 60)


def test_programs_that_hang_are_stopped_with_their_children(tmp_path: Path) -> None:
    with pytest.raises(SlowPeerError, match=r"stopped after 0\.5 s"):
        run(["/bin/sh", "-c", f"(sleep 30; touch {tmp_path}/late) & sleep 30"], tmp_path, 0.5)
    status, _ = run(["/bin/sh", "-c", f"pgrep -f {tmp_path}/lat[e]"], tmp_path, 5)
    assert status != 0


def test_programs_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="cannot be started"):
        run(["/no/such/program"], tmp_path, 1)
    assert run(["/bin/sh", "-c", "echo why >&2; exit 4"], tmp_path, 5) == (4, "why\n")


def test_only_the_end_of_a_long_message_is_kept(tmp_path: Path) -> None:
    status, text = run([sys.executable, "-c", "import sys; sys.stderr.write('a' * 9000 + 'end')"], tmp_path, 20)
    assert status == 0
    assert len(text) == 4096
    assert text.endswith("aend")
