"""``splatpack verify``: every checksum, every bound, every chunk decoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from splatpack.cli import _options
from splatpack.cli._console import Console, size

if TYPE_CHECKING:
    from splatpack.pack.verify import VerifyReport


@click.argument("source", metavar="F.spk")
@_options.max_memory
def _run(console: Console, source: str, *, max_memory: int | None) -> None:
    """Check every checksum, hash and bound of a .spk, and decode everything in it.

    The exit status is 0 for a sound file, else that of the first error: 3 corrupt, 4 unsupported, 5 limit, 6 I/O.
    """
    with console.progress() as progress:
        if progress:
            progress("verifying", 0, 1)
        report = _check(console, source, max_memory)
    console.result(report.as_dict())
    if report.ok:
        console.say(
            f"{source}: {click.style('sound', fg='green', bold=True)}, {report.chunks:,} chunks, {size(report.bytes)}"
        )
        return
    for error in report.errors[1:]:
        console.say(f"  also [{error.code}]: {error}")
    raise report.errors[0]


def _check(console: Console, source: str, max_memory: int | None) -> VerifyReport:
    """Return what was found; a file that does not open is a report with one error."""
    from splatpack.cli._inputs import open_spk, prefetch
    from splatpack.errors import SplatpackError
    from splatpack.pack.verify import VerifyReport, verify

    try:
        with open_spk(source, _options.limits(max_memory)) as reader:
            prefetch(reader, reader.chunks)
            return verify(reader, threads=console.threads)
    except SplatpackError as error:
        length = Path(source).stat().st_size if Path(source).is_file() else 0
        return VerifyReport(bytes=length, errors=[error])


command = _options.command("verify", example="splatpack verify scene.spk")(_run)
