"""The ``splatpack`` command. A command's module is imported only when it runs or shows its help."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from splatpack import __version__
from splatpack.cli._errors import report

COMMANDS = {
    "train": "Posed photos to a small .spk, judged on held-out ones.",
    "compress": "Any splat scene to a small, verified .spk.",
    "decompress": "A .spk back to PLY, or to any other format.",
    "convert": "Any scene to any format, one file or a folder.",
    "edit": "Crop, move, filter, merge and decimate scenes.",
    "formats": "What is read and written, and its limits.",
    "info": "What a file is and holds, without decoding it.",
    "verify": "Check every checksum, bound and chunk of a .spk.",
    "render": "Pictures of a scene.",
    "compare": "How close two scenes look, in PSNR and SSIM.",
    "serve": "Streaming, range requests and a page, on one port.",
    "view": "A scene in the browser, or as one page.",
    "fetch": "A scene from a server, by view, resumable.",
    "explode": "A .spk as immutable objects for static hosts.",
    "bench": "Size, quality and speed against other codecs.",
}
"""The commands and what they do, in a line: ``--help`` needs no command's module."""


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of :data:`COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module and return its ``command``."""
        if cmd_name not in COMMANDS:
            return None
        loaded = import_module(f"splatpack.cli.{cmd_name}").command
        return loaded if isinstance(loaded, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  splatpack compress scene.ply\n  splatpack COMMAND --help",
)
@click.version_option(__version__, "--version", message="splatpack %(version)s")
@click.pass_context
def group(ctx: click.Context) -> None:
    """Compression and streaming for neural 3D assets: Gaussian splats in, a small verified .spk out."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status: 0, or the status of the error that was printed."""
    words = list(sys.argv[1:] if args is None else args)
    try:
        status = group.main(words, prog_name="splatpack", standalone_mode=False)
    except BrokenPipeError:
        return 1
    except (Exception, KeyboardInterrupt) as error:
        return report(error, debug="--debug" in words)
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
