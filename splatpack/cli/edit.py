"""``splatpack edit``: crop, move, filter, merge, decimate and colour scenes, in the order in which it is written."""

from __future__ import annotations

import shlex
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli import _options, _targets
from splatpack.cli._console import Callback, Console, size
from splatpack.cli._operations import OPERATIONS, Operation, Setting
from splatpack.cli.convert import READ_FRAMES, read_source
from splatpack.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from splatpack.edit.steps import Count, Step
    from splatpack.scene.gaussians import Gaussians

PRESETS = ("near-lossless", "high", "medium", "small")
_BY_KEY = {operation.key: operation for operation in OPERATIONS}


class _Ordered(click.Command):
    """A command that remembers in which order its operations were written, however often each."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse twice: click's own result groups the values of an option and loses their place among the others."""
        raw, _, order = self.make_parser(ctx).parse_args(list(args))
        seen = dict.fromkeys(_BY_KEY, 0)
        written: list[tuple[str, int, str]] = []
        for name in (param.name for param in order):
            if name in _BY_KEY:
                text = "" if _BY_KEY[name].type is None else str(raw[name][seen[name]])
                written.append((name, seen[name], text))
                seen[name] += 1
        ctx.meta[__name__] = written
        return super().parse_args(ctx, args)


@click.argument("sources", metavar="IN...", nargs=-1, required=True)
@click.argument("output", metavar="OUT")
@_options.force
@click.option(
    "--frame", type=click.Choice(READ_FRAMES), help="The frame that the inputs are in, if not their format's."
)
@click.option("--dry-run", is_flag=True, help="Count what each operation keeps; write nothing.")
@click.option("--preset", type=click.Choice(PRESETS), help="Quality of a .spk. Default: high. Nothing is pruned.")
@_options.max_memory
def _run(
    console: Console, sources: tuple[str, ...], output: str, *, force: bool, frame: str | None, dry_run: bool,
    preset: str | None, max_memory: int | None, **values: Any,
) -> None:  # fmt: skip
    """Edit a scene: the operations are applied in the order in which they are written, each as often as you like.

    Several inputs are merged first, turned to the frame of the first one. Coordinates are those of the scene's frame
    (splatpack info), in scene units. The format of OUT is named by its extension.
    """
    from splatpack.edit import merge
    from splatpack.edit.steps import run

    start = time.perf_counter()
    target = Path(output)
    _check_target(target, preset, force or dry_run)
    inputs = _Inputs(frame, max_memory, console.threads)
    steps = _steps(values, Setting(console.threads, inputs.read))
    if len(sources) == 1 and not steps:
        raise UsageError(f"{sources[0]}: no operation, expected at least one. 'splatpack convert' only converts.")
    with console.progress() as progress:
        scene = merge([inputs.read(source) for source in sources])
        n_in = len(scene)
        scene, counts = run(scene, steps, progress)
        warnings = inputs.warnings(scene)
        if not dry_run:
            warnings += _save(target, scene, force, preset, bool(values["to_frame"]), console.threads, progress)
    for text in warnings:
        console.warn(text)
    bytes_out = None if dry_run else target.stat().st_size
    _report(console, counts, list(sources), target, scene, bytes_out)
    console.result({
        "inputs": list(sources), "output": None if dry_run else output, "dry_run": dry_run,
        "n_in": n_in, "n_out": len(scene), "sh_degree": scene.sh_degree, "frame": scene.frame, "bytes_out": bytes_out,
        "steps": [{"operation": c.name, "n_in": c.n_in, "n_out": c.n_out} for c in counts],
        "seconds": time.perf_counter() - start, "warnings": warnings,
    })  # fmt: skip


class _Inputs:
    """Reads scenes, and keeps what is to be said of them."""

    def __init__(self, frame: str | None, max_memory: int | None, threads: int | None) -> None:
        self._frame, self._max_memory, self._threads = frame, max_memory, threads
        self._notes: list[tuple[str, str]] = []
        self._antialiased: list[bool] = []

    def read(self, source: str) -> Gaussians:
        """Return a scene that can be drawn."""
        scene, notes = read_source(source, self._frame, None, _options.limits(self._max_memory), self._threads)
        self._notes += [(source, note) for note in notes]
        self._antialiased.append(scene.antialiased)
        return scene

    def warnings(self, result: Gaussians) -> list[str]:
        """Return what the readers left out or repaired, and what merging could not keep."""
        said = [f"{source}: {note}" if len(self._antialiased) > 1 else note for source, note in self._notes]
        if len(set(self._antialiased)) > 1:
            kind = "antialiased" if result.antialiased else "not antialiased"
            said.append(f"antialiased and other scenes are merged: the result counts as {kind}.")
        return said


def _check_target(target: Path, preset: str | None, replace: bool) -> None:
    """Refuse, before anything is read, what cannot be written."""
    from splatpack.container.atomic import refuse_existing
    from splatpack.formats.registry import target_format

    refuse_existing(target, replace)
    if target.suffix.lower() != ".spk":
        target_format(target.name)
        if preset is not None:
            raise UsageError(f"--preset {preset}: {target} is no .spk, for which presets are.")


def _steps(values: dict[str, Any], setting: Setting) -> list[Step]:
    """Return the operations of the command line, in its order."""
    from splatpack.edit.expressions import Expression
    from splatpack.edit.steps import Step

    steps = []
    for key, place, text in click.get_current_context().meta[__name__]:
        operation = _BY_KEY[key]
        value = values[key] if operation.type is None else values[key][place]
        expression = value if key in ("select", "drop") else value[2] if key == "label" else None
        if expression is not None:
            Expression(expression)  # a slip of the pen is found before a large file is read
        name = f"--{operation.name} {shlex.quote(text)}" if text else f"--{operation.name}"
        steps.append(Step(name, partial(_apply, operation, value, setting)))
    return steps


def _apply(operation: Operation, value: Any, setting: Setting, scene: Gaussians) -> Gaussians:
    return operation.apply(scene, value, setting)


def _save(
    target: Path, scene: Gaussians, force: bool, preset: str | None, turned: bool, threads: int | None,
    progress: Callback | None,
) -> list[str]:  # fmt: skip
    """Write the scene; return what the format could not hold or does not say."""
    if target.suffix.lower() == ".spk":
        from splatpack.pack.api import write

        return write(
            target, scene, preset or "high", force=force, threads=threads, progress=progress, prune=0.0, spare=0.0
        ).warnings
    from splatpack.formats.registry import target_format

    if progress:
        progress("writing", 0, 1)
    notes = _targets.save(target, scene, force=force, output_frame=scene.frame if turned else None, spz_version=None)
    title, frames = target_format(target.name).title, target_format(target.name).frames
    if turned and scene.frame not in frames:
        notes.append(f"written in frame {scene.frame}, which {title} does not say. Read it with --frame {scene.frame}.")
    return notes


def _report(
    console: Console, counts: Sequence[Count], sources: list[str], target: Path, scene: Gaussians, bytes_out: int | None
) -> None:
    """Print what each operation kept, and what was written."""
    for c in counts:
        share = f"{c.n_out / c.n_in:7.1%}" if c.n_in else ""
        console.say(f"  {c.n_out:>11,} {share}  {c.name}")
    written = "dry run, nothing written" if bytes_out is None else click.style(str(target), bold=True)
    console.say(f"{' + '.join(sources)} -> {written}")
    facts = [f"{len(scene):,} Gaussians", f"SH degree {scene.sh_degree}", f"frame {scene.frame}"]
    console.say(f"  {', '.join(facts + ([] if bytes_out is None else [size(bytes_out)]))}")


command = _options.command(
    "edit",
    example="splatpack edit scene.ply --rotate 0,90,0 --min-opacity 0.05 --decimate 50% edited.ply",
    cls=_Ordered,
)(_run)
command.params[2:2] = [operation.option() for operation in OPERATIONS]
