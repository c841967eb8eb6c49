"""convert, formats, and decompress to other formats."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splatpack.cli._batch import sources_of, targets_of
from splatpack.errors import UsageError
from splatpack.formats.registry import read_scene, write_scene
from splatpack.scene.transform import change_frame
from tests import synth
from tests.test_cli.conftest import COUNT, Runner

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["out.ply", "out.spz", "out.splat", "out.compressed.ply", "out.spk"])
@pytest.mark.parametrize("source", ["scene.ply", "scene.spk"])
def test_convert(cli: Runner, folder: Path, source: str, name: str) -> None:
    count = cli("info", folder / source, "--json").json["n"]
    done = cli("convert", folder / source, folder / name, "--json", "--quiet")
    assert done.status == 0
    assert done.err == ""
    values = done.json
    assert values["output"] == str(folder / name)
    assert values["n"] == count
    assert values["bytes_out"] == (folder / name).stat().st_size
    assert values["seconds"] > 0
    assert any("SH degree 2: left out" in w for w in values["warnings"]) == (name == "out.splat")
    written = cli("info", folder / name, "--json").json["n"]
    assert written == count or (name == "out.spk" and count / 2 < written < count)  # compressing may prune


def test_warnings_are_printed_and_a_summary(cli: Runner, folder: Path) -> None:
    done = cli("convert", folder / "scene.ply", folder / "out.splat")
    lines = done.err.splitlines()
    assert done.out == ""
    assert lines[0].startswith("splatpack: warning: SH degree 2: left out")
    assert f"{COUNT:,} Gaussians, SH degree 2" in lines[-1]


def test_an_output_is_not_replaced_unasked(cli: Runner, folder: Path) -> None:
    before = (folder / "scene.ply").read_bytes()
    done = cli("convert", folder / "scene.spk", folder / "scene.ply")
    assert done.status == 6
    assert "[exists]" in done.err
    assert (folder / "scene.ply").read_bytes() == before
    assert cli("convert", folder / "scene.spk", folder / "scene.ply", "--force", "--quiet").status == 0


def test_frames(cli: Runner, folder: Path) -> None:
    original = read_scene(folder / "scene.ply")
    assert cli("convert", folder / "scene.ply", folder / "a.spz", "--quiet").status == 0
    a = read_scene(folder / "a.spz")
    assert a.frame == "rub"
    assert a.means == pytest.approx(change_frame(original, "rub").means, abs=2e-4)
    assert cli("convert", folder / "scene.ply", folder / "b.spz", "--output-frame", "rdf", "--quiet").status == 0
    assert read_scene(folder / "b.spz").means == pytest.approx(original.means, abs=2e-4)
    assert cli("convert", folder / "b.spz", folder / "b.ply", "--frame", "rdf", "--quiet").status == 0
    assert read_scene(folder / "b.ply").means == pytest.approx(original.means, abs=2e-4)
    assert cli("convert", folder / "scene.spk", folder / "c.ply", "--quiet").status == 0
    assert cli("convert", folder / "scene.spk", folder / "d.ply", "--frame", "rub", "--quiet").status == 0
    assert np.array_equal(read_scene(folder / "d.ply").means, read_scene(folder / "c.ply").means * [1, -1, -1])


def test_spz_versions(cli: Runner, folder: Path) -> None:
    for version in (2, 3, 4):
        done = cli("convert", folder / "scene.ply", folder / f"{version}.spz", "--spz-version", version, "--quiet")
        assert done.status == 0
        assert read_scene(folder / f"{version}.spz").metadata["source"]["version"] == version
    assert cli("decompress", folder / "scene.spk", "-o", folder / "d.spz", "--spz-version", 3, "--quiet").status == 0


def test_what_a_reader_left_out_is_a_warning(cli: Runner, folder: Path) -> None:
    from tests.test_formats.test_spz import STREAMS, legacy

    (folder / "deep.spz").write_bytes(legacy(streams=(*STREAMS[:5], bytes(144)), degree=4))
    values = cli("convert", folder / "deep.spz", folder / "out.ply", "--json").json
    assert values["warnings"] == ["SH band 4 left out: 0 to 3 are kept."]
    values = cli("compress", folder / "deep.spz", "-o", folder / "out.spk", "--json", "--no-measure").json
    assert "SH band 4 left out: 0 to 3 are kept." in values["warnings"]


def test_what_is_repaired_is_a_warning(cli: Runner, folder: Path) -> None:
    scene = synth.scene(20, 0)
    scene.means[3] = np.nan
    with (folder / "bad.ply").open("wb") as file:
        write_scene(file, scene, ".ply")
    values = cli("convert", folder / "bad.ply", folder / "out.spz", "--json").json
    assert values["n"] == 19
    assert "1" in values["warnings"][0]


def test_out_of_range_is_an_error_and_leaves_no_file(cli: Runner, folder: Path) -> None:
    scene = synth.scene(20, 0)
    scene.means[3] = 1e8
    with (folder / "far.ply").open("wb") as file:
        write_scene(file, scene, ".ply")
    done = cli("convert", folder / "far.ply", folder / "out.spz")
    assert done.status == 4
    assert "1 of 20 Gaussians lie outside" in done.err
    assert not (folder / "out.spz").exists()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["scene.ply", "out.xyz"], 4, "cannot write"),
        (["scene.ply", "out.ksplat"], 4, "cannot write"),
        (["none.ply", "out.spz"], 6, "none.ply"),
        (["scene.ply", "out.ply", "--spz-version", "3"], 2, "expected an .spz"),
        (["scene.ply", "out.spk", "--output-frame", "rub"], 2, "a .spk says in which frame"),
        (["scene.ply", "out.ply", "--levels", "2"], 2, "is no streamed SOG"),
        (["scene.ply", "out", "--to", "sog-folder", "--levels", "2"], 2, "is no streamed SOG"),
        (["scene.ply", "out", "--to", "sog-folder", "--spz-version", "2"], 2, "is a folder"),
        (["scene.ply", "out.ply", "--frame", "up"], 2, "up"),
        (["scene.ply"], 2, "Missing argument"),
        (["scene.ply", "scene.spk", "out"], 2, "--to"),
        (["scene.ply", "./scene.ply", "out", "--to", "spz"], 2, "would both become"),
        (["*.xyz", "out", "--to", "spz"], 2, "no scene in"),
        (["scene.ply", "*.spk", "out", "--to", "xyz"], 4, "cannot write"),
    ],
)
def test_mistakes(
    cli: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, message: str
) -> None:
    monkeypatch.chdir(folder)
    done = cli("convert", *words)
    assert done.status == status
    assert message in done.err
    assert sorted(p.name for p in folder.iterdir()) == ["scene.ply", "scene.spk"]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for i, extension in enumerate((".ply", ".spz", ".splat")):
        with (tmp_path / f"s{i}{extension}").open("wb") as file:
            write_scene(file, replace(synth.scene(50 + i, 0), antialiased=i == 0), extension)
    (tmp_path / "note.txt").write_text("no scene")
    return tmp_path


def test_a_folder_gives_a_folder(cli: Runner, many: Path) -> None:
    done = cli("convert", many, many / "out", "--to", "compressed.ply", "--json")
    assert done.status == 0
    values = done.json
    assert [Path(f["output"]).name for f in values["files"]] == [f"s{i}.compressed.ply" for i in range(3)]
    assert values["n"] == 50 + 51 + 52
    assert values["bytes_out"] == sum(f["bytes_out"] for f in values["files"])
    assert values["failures"] == []
    assert sorted(p.name for p in (many / "out").iterdir()) == [f"s{i}.compressed.ply" for i in range(3)]


def test_one_failure_does_not_stop_the_others(cli: Runner, many: Path) -> None:
    (many / "s1.spz").write_bytes((many / "s1.spz").read_bytes()[:-1])
    done = cli("convert", str(many / "s*"), many / "out", "--to", "ply", "--json")
    assert done.status == 1
    values = json.loads(done.out)
    assert [Path(f["input"]).name for f in values["failures"]] == ["s1.spz"]
    assert values["failures"][0]["code"] == "truncated"
    assert len(values["files"]) == 2
    assert "1 of 3 files failed" in done.err
    shown = cli("convert", str(many / "s*"), many / "out", "--to", "ply", "--force")
    assert "s0.ply" in shown.err
    assert shown.err.index("s2.ply") < shown.err.index("failed [truncated]")


def test_a_folder_that_is_a_scene(cli: Runner, tmp_path: Path) -> None:
    from tests.test_formats.test_pngcompression import GOOD, save

    folder = tmp_path / "images"
    folder.mkdir()
    save(folder, GOOD)
    values = cli("convert", folder, tmp_path / "out.ply", "--json").json
    assert values["n"] == 25
    assert values["bytes_in"] == sum(len(data) for data in GOOD.values())


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["out", "--to", "sog-folder"], "sog"), (["out/meta.json"], "sog"),
        (["out", "--to", "lod-meta"], "streamed-sog"), (["out/lod-meta.json", "--levels", "2"], "streamed-sog"),
        (["out", "--to", "png-compression"], "png-compression"),
    ],
)  # fmt: skip
def test_formats_that_are_folders(
    cli: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], kind: str
) -> None:
    monkeypatch.chdir(folder)
    values = cli("convert", "scene.ply", *words, "--json").json
    assert values["output"] == "out"
    assert values["bytes_out"] == sum(p.stat().st_size for p in (folder / "out").rglob("*") if p.is_file())
    assert {p.name for p in folder.iterdir()} == {"scene.ply", "scene.spk", "out"}
    scene = read_scene(folder / "out")
    assert scene.metadata["source"]["format"] == kind
    assert len(scene) == (COUNT if kind != "png-compression" else int(COUNT**0.5) ** 2)
    assert cli("convert", "out", "back.ply", "--json").json["n"] == len(scene)


def test_levels(cli: Runner, folder: Path) -> None:
    assert (
        cli("convert", folder / "scene.ply", folder / "lod", "--to", "lod-meta", "--levels", 3, "--quiet").status == 0
    )
    sizes = [
        cli("convert", folder / "lod", folder / "out.ply", "--level", i, "--force", "--json").json["n"]
        for i in (0, 1, 2)
    ]
    assert sizes == [COUNT, round(COUNT / 4), round(round(COUNT / 4) / 4)]
    assert cli("convert", folder / "lod", folder / "out.ply", "--level", 3, "--force").status == 2
    assert cli("convert", folder / "scene.ply", folder / "x.ply", "--level", 0).status == 2
    again = cli("convert", folder / "lod" / "lod-meta.json", folder / "b.ply", "--json").json
    assert again["bytes_in"] == sum(p.stat().st_size for p in (folder / "lod").rglob("*") if p.is_file())


def test_a_folder_is_replaced_only_by_force_and_only_if_it_is_a_scene(
    cli: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "out").mkdir()
    assert cli("convert", "scene.ply", "out/meta.json", "--quiet").status == 0
    done = cli("convert", "scene.ply", "out", "--to", "lod-meta")
    assert (done.status, "exists already" in done.err) == (6, True)
    assert cli("convert", "scene.ply", "out", "--to", "lod-meta", "--force", "--quiet").status == 0
    assert read_scene(folder / "out").metadata["source"]["format"] == "streamed-sog"
    (folder / "own").mkdir()
    (folder / "own" / "letter.txt").write_text("dear")
    done = cli("convert", "scene.ply", "own", "--to", "lod-meta", "--force")
    assert (done.status, "no folder of a scene" in done.err) == (6, True)
    (folder / "link").symlink_to("out")
    assert cli("convert", "scene.ply", "link", "--to", "lod-meta", "--force").status == 6
    assert cli("convert", "scene.ply", "scene.spk", "--to", "lod-meta", "--force").status == 6
    assert cli("convert", "scene.ply", "meta.json").status == 6
    assert (folder / "own" / "letter.txt").read_text() == "dear"
    assert {p.name for p in folder.iterdir()} == {"scene.ply", "scene.spk", "out", "own", "link"}


def test_a_folder_that_fails_leaves_nothing(cli: Runner, folder: Path) -> None:
    done = cli("convert", folder / "scene.ply", folder / "no" / "out", "--to", "lod-meta")
    assert (done.status, "cannot be written" in done.err) == (6, True)
    assert {p.name for p in folder.iterdir()} == {"scene.ply", "scene.spk"}


def test_a_batch_of_folders(cli: Runner, many: Path) -> None:
    values = cli("convert", many, many / "out", "--to", "sog-folder", "--json").json
    assert [Path(f["output"]).name for f in values["files"]] == ["s0", "s1", "s2"]
    assert values["failures"] == []
    back = cli("convert", many / "out", many / "back", "--to", "ply", "--json").json
    assert back["n"] == values["n"] == 50 + 51 + 52


def test_a_frame_of_a_moving_scene(cli: Runner, folder: Path) -> None:
    from tests.test_formats.test_splatv import GOOD

    (folder / "m.splatv").write_bytes(GOOD)
    values = cli("convert", folder / "m.splatv", folder / "out.ply", "--time", 0.5, "--json").json
    assert values["n"] == 1
    assert values["warnings"][0].startswith("a moving scene: the 1 of 1")
    for source in ("scene.ply", "scene.spk"):
        assert cli("convert", folder / source, folder / "x.ply", "--time", 0.5).status == 2


def test_sources_and_targets(many: Path) -> None:
    assert sources_of((str(many / "s0.ply"),)) is None
    assert sources_of((str(many),)) == sorted(str(many / f"s{i}{e}") for i, e in enumerate((".ply", ".spz", ".splat")))
    assert sources_of((str(many / "s0.ply"), str(many / "*.ply"))) == [str(many / "s0.ply")]
    assert targets_of(["a/x.compressed.ply", "y.JSON", "z"], Path("o"), ".spz") == [
        Path("o/x.spz"), Path("o/y.spz"), Path("o/z.spz"),
    ]  # fmt: skip
    assert targets_of(["x.ply", "x.spz"], Path("o"), ".spk") == [Path("o/x.ply.spk"), Path("o/x.spz.spk")]
    with pytest.raises(UsageError, match="would both become"):
        targets_of(["a/x.ply", "b/x.ply"], Path("o"), ".spz")


def test_formats(cli: Runner) -> None:
    rows = {row["name"]: row for row in cli("formats", "--json").json["formats"]}
    assert rows["spz"]["write"]
    assert rows["spz"]["frames"] == ["rub"]
    assert rows["spk"]["read"]
    assert not rows["ksplat"]["write"]
    shown = cli("formats").out
    assert "Niantic SPZ" in shown
    assert "Recognised, not read" in shown


def test_the_page_of_formats_is_current(cli: Runner) -> None:
    """Made by ``splatpack formats --markdown > docs/formats.md``."""
    assert cli("formats", "--markdown").out == (ROOT / "docs" / "formats.md").read_text()


def test_decompress_says_what_is_lost(cli: Runner, folder: Path) -> None:
    values = cli("decompress", folder / "scene.spk", "-o", folder / "x.splat", "--json").json
    assert values["warnings"][0].startswith("SH degree 2: left out")
    assert cli("decompress", folder / "scene.spk", "-o", folder / "x.xyz").status == 4
