"""Exceptions to one line on stderr and an exit status; the only place that decides either."""

from __future__ import annotations

import sys
import traceback

import click

from splatpack.errors import LimitError, SplatpackError, StorageError, UsageError

INTERRUPTED = 130


def report(error: BaseException, *, debug: bool = False) -> int:
    """Print ``splatpack: error [code]: message`` on stderr and return the exit status.

    Parameters
    ----------
    error : BaseException
        Whatever ended a command.
    debug : bool
        Print the traceback before the line.
    """
    if debug:
        traceback.print_exception(error)
    code, status, message = classify(error)
    print(line(code, message), file=sys.stderr)
    return status


def line(code: str, message: str) -> str:
    """Return the one line that an error is: no line breaks, no control characters that a file could smuggle in."""
    text = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    return f"splatpack: error [{code}]: {text}"


def classify(error: BaseException) -> tuple[str, int, str]:
    """Return the stable code, the exit status and the message of an exception."""
    if isinstance(error, SplatpackError):
        return error.code, error.exit_code, str(error)
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return "interrupted", INTERRUPTED, "stopped by the keyboard. No output file was replaced."
    if isinstance(error, click.FileError):
        return StorageError.code, StorageError.exit_code, error.format_message()
    if isinstance(error, click.ClickException):
        return UsageError.code, UsageError.exit_code, _usage(error)
    if isinstance(error, MemoryError):
        return LimitError.code, LimitError.exit_code, "out of memory. Close other programs, or read a level or a box."
    if isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename else ""
        return StorageError.code, StorageError.exit_code, f"{what}{error.strerror or error}."
    name = type(error).__name__
    return "internal", 1, f"{name}: {error}. This is a bug in splatpack: run again with --debug and report it."


def _usage(error: click.ClickException) -> str:
    """Return click's message, and where the command's help is."""
    message = error.format_message().strip()
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "splatpack"
    return f"{message if message.endswith(('.', '?')) else message + '.'} See '{path} --help'."
