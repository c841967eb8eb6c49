from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from splatpack.bench.docs import fill, plots, scenes_page, sources
from splatpack.bench.doctables import tables
from splatpack.bench.entrants import LOSSLESS, OWN
from splatpack.bench.plot import plot
from splatpack.bench.report import page
from splatpack.bench.result import Result, read
from splatpack.bench.row import Row
from splatpack.bench.tables import ROWS, SUMMARY, markdown, rate, row_cells, summary_cells
from splatpack.bench.versus import equal, summary
from splatpack.errors import CorruptError, StorageError

DOCS = Path(__file__).parents[2] / "docs"
HOW = {"repeat": 3, "timeout": 300.0, "size": [320, 240], "threads": None}
MACHINE = {"cpu": "a & b", "cores": 2, "memory": 8 << 30, "python": "3", "numpy": "2"}


def row(codec: str, family: str, size: int, psnr: float, worst: float, scene: str) -> Row:
    return Row(
        codec, scene, 1000, family, 990, size, size * 8 / 1000, psnr, worst, 0.987654321, 0.5, 0.25, 1.1, 1.2, 0.5, 0.2,
        0.004, 123_456_789,
    )  # fmt: skip


def rows(scene: str) -> list[Row]:
    spz = "SPZ 4 (@adobe/spz 1)"
    names = ["near-lossless", "high", "medium", "small"]
    return [
        *(row(f"{OWN} {n}", OWN, 9000 // 2**k, 60.0 - 8 * k, 50.0 - 6 * k, scene) for k, n in enumerate(names)),
        row(LOSSLESS, LOSSLESS, 90_000, 100.0, 100.0, scene),
        row("byte planes", "byte planes", 95_000, 100.0, 100.0, scene),
        row(spz, spz, 8000, 45.0, 40.0, scene),
        *(row(f"{spz}, SH {k}", spz, 8000 + 1500 * k, 45.0 + 3 * k, 40.0 + 2 * k, scene) for k in (1, 2, 3)),
        Row("SOG (splat-transform 2)", scene, 1000, "SOG", status="timeout", error="encode: stopped after 300 s."),
        Row("x <y> | z", scene, 1000, "x", status="failed", error="Error: <none> | " + "long " * 60),
        Row("w", scene, 1000, "w", status="missing", error="not installed: here."),
    ]


@pytest.fixture
def result() -> Result:
    facts = {"fox": {"n": 1000, "sh_degree": 3}, "<b> c/../d": {"n": 1000, "sh_degree": 0}}
    return Result(MACHINE, HOW, facts, rows("fox") + rows("<b> c/../d"))


SOURCES = {"fox": {"came_as": "float", "origin": "from somewhere"}, "<b> c/../d": {"came_as": "SPZ"}}


def test_json_there_and_back(result: Result, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(result.text())
    value = json.loads(result.text())
    assert {"machine", "rows", "equal", "bd_rate", "scenes", "repeat"} <= set(value)
    back = read([tmp_path / "a.json"])
    assert [r.codec for r in back.rows] == [r.codec for r in result.rows]
    assert back.rows[0].ssim == 0.987654
    assert (back.how, back.scenes) == (HOW, result.scenes)
    assert read([tmp_path / "a.json", tmp_path / "a.json"]).rows == back.rows
    newer = replace(result, rows=[replace(result.rows[0], bytes=7)])
    (tmp_path / "b.json").write_text(newer.text())
    merged = read([tmp_path / "a.json", tmp_path / "b.json"])
    assert len(merged.rows) == len(result.rows)
    assert merged.rows[0].bytes == 7


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"rows": 3}', '{"rows": [{"codec": 3}]}', '{"rows": [], "repeat": 1}', "[" * 100_000]
)
def test_what_is_no_result_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CorruptError, match=r"a\.json"):
        read([tmp_path / "a.json"])
    with pytest.raises(StorageError):
        read([tmp_path / "none.json"])


def test_cells(result: Result) -> None:
    pairs = {e.codec: e for e in equal(rows("fox"))}
    spz = next(r for r in result.rows if r.codec.startswith("SPZ"))
    cells = dict(zip([c.title for c in ROWS], row_cells(spz, pairs[spz.codec]), strict=True))
    assert (cells["bytes"], cells["bits/G"], cells["peak MB"]) == ("8,000", "64.0", "123")
    assert (cells["encode CPU s"], cells["decode CPU s"], cells["MG/CPU s"]) == ("0.500", "0.200", "0.0050")
    assert 0.2 < float(cells["ratio"]) < 0.5
    assert row_cells(result.rows[-1], None)[1:] == ["-"] * (len(ROWS) - 1)
    for line in summary(result.rows):
        assert len(summary_cells(line)) == len(SUMMARY)
    fine = replace(spz, psnr=99.0, psnr_min=5.0, codec="fine")
    (pair,) = [e for e in equal([*rows("fox"), fine]) if e.codec == "fine"]
    assert row_cells(fine, pair)[6:8] == ["out of reach", "< 0.14"]


def test_markdown_is_escaped() -> None:
    text = markdown(ROWS[:2], [["a | <b>", "1"], ["c\nd"]])
    assert text.splitlines()[2:] == ["| a \\| &lt;b> | 1 |", "| c d |  |"]


def test_every_table_of_the_docs(result: Result) -> None:
    made = tables(result, SOURCES)
    assert "2 cores, 8 GiB" in made["machine"]
    assert made["presets"].count("\n") == 2 + 4
    assert "| fox | float | 1,000 | 3 | 0." in made["matrix"]
    assert "no result in time" in made["matrix"]
    assert "SPZ 4 (@adobe/spz 1)" in made["delta"]
    assert "all peers" in made["delta"]
    assert "| w | fox, &lt;b> c/../d | not installed: here. |" in made["absent"]
    assert made["plots"] == "![fox: PSNR over bits per Gaussian](benchmarks/fox.svg)\n"
    assert "splatpack high" not in made["summary"]


def test_pages_are_filled_between_markers(result: Result) -> None:
    text = (
        "# A\n<!-- bench:machine -->\nold\n<!-- /bench:machine -->\nkept\n<!-- bench:plots -->\n<!-- /bench:plots -->\n"
    )
    once = fill(text, tables(result, SOURCES))
    assert "old" not in once
    assert "kept" in once
    assert "a & b" in once
    assert fill(once, tables(result, SOURCES)) == once
    with pytest.raises(CorruptError, match="expected one of machine"):
        fill("<!-- bench:other -->\n<!-- /bench:other -->", {"machine": ""})
    with pytest.raises(CorruptError, match="1 markers, 0 of them closed"):
        fill("<!-- bench:machine -->\n", {"machine": ""})


def test_scene_pages_and_plots(result: Result) -> None:
    text = scenes_page(result, SOURCES)
    assert text.count("\n## ") == 2
    assert "came as float; from somewhere." in text
    assert set(plots(result)) == {"fox.svg", "-b-c-..-d.svg"}
    assert all(f"({name})" in text for name in plots(result))


def test_plots_are_well_formed_and_inside_their_frame(result: Result) -> None:
    svg = plot("<title> & more", rows("fox"))
    root = ElementTree.fromstring(svg)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<title> & more" in texts
    assert OWN in texts
    assert "byte planes" not in texts
    for shape in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(shape.attrib["cx"]) < width
        assert 0 < float(shape.attrib["cy"]) < height
    assert plot("none", rows("fox")[-3:]) == ""
    assert "xmlns" not in plot("inside", rows("fox"), standalone=False)


def test_report_is_self_contained(result: Result) -> None:
    html = page(result)
    assert html.count("<svg") == 2
    assert "&lt;b&gt; c/../d" in html
    assert "a &amp; b" in html
    assert "Error: &lt;none&gt;" in html
    for outside in ("http", "<script", "src=", "<link", "@import", "url("):
        assert outside not in html


def test_sources_are_checked(tmp_path: Path) -> None:
    assert sources(tmp_path / "none.json") == {}
    (tmp_path / "a.json").write_text('{"fox": {"came_as": "float"}}')
    assert sources(tmp_path / "a.json") == {"fox": {"came_as": "float"}}
    for text in ("{", "[1]", '{"fox": 3}'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(CorruptError):
            sources(tmp_path / "a.json")


def test_the_committed_docs_are_what_the_command_makes() -> None:
    result, known = read([DOCS / "benchmarks" / "results.json"]), sources(DOCS / "benchmarks" / "scenes.json")
    text = (DOCS / "benchmarks.md").read_text("utf-8")
    assert fill(text, tables(result, known)) == text
    assert (DOCS / "benchmarks" / "scenes.md").read_text("utf-8") == scenes_page(result, known)
    made = plots(result)
    assert {p.name for p in (DOCS / "benchmarks").glob("*.svg")} == set(made)
    for name, svg in made.items():
        assert (DOCS / "benchmarks" / name).read_text("utf-8") == svg
    assert {r.scene for r in result.rows} <= set(known)
    assert not re.search(r"/(tmp|work|home)/", text + (DOCS / "benchmarks" / "results.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0.00"), (0.00123, "0.0012"), (0.05, "0.050"), (0.5, "0.50"), (12.34, "12.3")],
)
def test_rates_keep_two_digits(value: float | None, text: str) -> None:
    assert rate(value) == text
