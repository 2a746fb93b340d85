"""The command ``harness``. Each command imports its implementation when it is called."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli import analyse, corpus, data, evaluate, features_hub, leaderboard, manifests, plot, plugins
from harness.cli.options import Cache, Json, path
from harness.cli.os_errors import from_os_error
from harness.cli.reproduce import reproduce
from harness.cli.stdout import configure_streams
from harness.errors import HarnessError, UserError, printable

EXIT_DONE, EXIT_USER_ERROR, EXIT_INTERRUPTED = 0, 2, 130

app = typer.Typer(
    name="harness",
    help="Evaluate vision-language methods on LAION-Beyond: concepts that are absent from pre-training.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
features_app = typer.Typer(help="List, clear, verify, sign or share the feature cache.", no_args_is_help=True)
bench_app = typer.Typer(help="Benchmark this machine.", no_args_is_help=True)
app.add_typer(data.app, name="data")
app.add_typer(features_app, name="features")
app.add_typer(bench_app, name="bench")
app.add_typer(manifests.app, name="manifest")
app.add_typer(plugins.app, name="plugins")
app.add_typer(plot.app, name="plot")
app.add_typer(corpus.app, name="corpus")
app.add_typer(analyse.app, name="analyse")
app.add_typer(leaderboard.app, name="leaderboard")
features_app.command()(features_hub.push)
features_app.command()(features_hub.pull)
app.command()(evaluate.evaluate)
app.command()(reproduce)


def _version(asked: bool) -> None:
    if asked:
        from harness import __version__

        typer.echo(f"harness {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    show_traceback: Annotated[bool, typer.Option("--traceback", help="Show the traceback of an error.")] = False,
) -> None:
    """Evaluate vision-language methods on LAION-Beyond: concepts that are absent from pre-training."""
    try:
        Path.cwd()
    except FileNotFoundError:  # torch would abort with an unrelated message
        raise UserError("the working directory was removed", "cd into one that exists") from None


@app.command()
def doctor(cache: Cache = None, json: Json = False) -> int:
    """Check the installation: versions, device, native module, caches and disk space."""
    from harness.cli import console

    with console.preparing("checking the installation"):
        from harness.cli import doctor as command

        checks = command.checks(cache)
    return command.show(checks, json)


@features_app.command("list")
def features_list(cache: Cache = None, json: Json = False) -> int:
    """List the feature cache."""
    from harness.cli import features as command

    return command.list_entries(cache, json)


@features_app.command("clear")
def features_clear(
    key: Annotated[str | None, typer.Argument(help="Key of an encoder, or its prefix.", show_default="all")] = None,
    cache: Cache = None,
) -> int:
    """Remove cached features."""
    from harness.cli import features as command

    return command.clear(key, cache)


@features_app.command("verify")
def features_verify(cache: Cache = None) -> int:
    """Verify the checksum of every cached file; exit code 1 if one is damaged."""
    from harness.cli import features as command

    return command.verify(cache)


@features_app.command("sign")
def features_sign(cache: Cache = None) -> int:
    """Sign the cached files that you wrote, so that users of a shared cache know whose they are."""
    from harness.cli import features as command

    return command.sign(cache)


@bench_app.command("matching")
def bench_matching(
    check: Annotated[bool, typer.Option("--check", help="Exit code 3 if a ratio is below its minimum.")] = False,
    json_out: Annotated[Path | None, typer.Option("--json-out", parser=path, help="JSON file to write.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", min=1, help="Problems per case.", show_default="20; 5 with --check"),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Threads of the multi-threaded cases.", show_default="all usable cores"),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu or cuda.", show_default="both if there is a GPU")
    ] = None,
) -> int:
    """Compare the speed of matching with lapx and scipy (pytest-benchmark)."""
    from harness.cli import bench as command

    return command.bench_matching(check, json_out, seeds, threads, device)


@bench_app.command("autotune")
def bench_autotune(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", parser=path, help="File to write.", show_default="in the user's cache")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Problems per case.")] = 5,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads on the CPU.", show_default="all usable cores")
    ] = None,
) -> int:
    """Measure the fastest matching backend by problem size on this GPU; `auto` uses the result."""
    from harness.cli import bench as command

    return command.bench_autotune(out, seeds, threads)


def run() -> None:
    """Entry point of the command ``harness``."""
    # Imports and data sets make many objects that stay. Python looks for garbage among them after every 700: a tenth of
    # the time of a run whose results are known.
    gc.set_threshold(50_000)
    signal.signal(signal.SIGTERM, _interrupt)
    # Forked children keep the default: a process pool ends its processes by this signal.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    # SIGPIPE keeps Python's handling: its default action would also end a run whose worker was killed, at the next
    # write to that worker's pipe. A closed pipe (`harness plugins | head`) is handled by stdout itself.
    configure_streams()
    if not sys.stdout.isatty():
        # JSON is UTF-8 in every locale; file names may contain undecodable bytes.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    code = execute(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or _refused(error)
    gc.freeze()  # as Python ends it would look for garbage among all that was imported: a second, with torch
    sys.exit(code)


def execute(arguments: list[str]) -> int:
    """Run a command line; errors become text on stderr. Returns the exit code."""
    show_traceback = "--traceback" in arguments
    try:
        if any("\0" in argument for argument in arguments):
            raise UserError("an argument contains a NUL", "names of files and domains have none")
        # --traceback is accepted anywhere on the command line.
        code: Any = app([a for a in arguments if a != "--traceback"], standalone_mode=False, obj=show_traceback)
    except KeyboardInterrupt:
        return _stopped()
    except HarnessError as error:
        from harness.cli.console import error_text

        if show_traceback:
            traceback.print_exc()
        error_text(error)
        return EXIT_USER_ERROR
    except OSError as error:
        if show_traceback:
            traceback.print_exc()
        return _refused(error)
    except Exception as error:
        if isinstance(error, RuntimeError) and "start new thread" in str(error):
            return _refused(OSError(errno.EAGAIN, str(error)))
        # Typer bundles its own click, so usage errors are recognised by their methods.
        if type(error).__name__ == "Abort":
            return _stopped()
        show = getattr(error, "show", None)
        if show is None:
            from harness.cli.console import error_text
            from harness.registry import blocking_metadata

            if show_traceback or (damage := blocking_metadata()) is None:
                raise  # a bug shows its traceback
            error_text(damage)
            return EXIT_USER_ERROR
        error.message = printable(str(getattr(error, "message", "")))  # type: ignore[attr-defined]
        show()
        return EXIT_USER_ERROR
    if code == EXIT_INTERRUPTED:  # typer turns Ctrl-C into this code silently
        return _stopped()
    return code if isinstance(code, int) else EXIT_DONE


def _message(text: str) -> None:
    from harness.cli.console import message

    message(text)


def _refused(error: OSError) -> int:
    sentence = from_os_error(error)
    if sentence is None:
        raise error
    _message(f"error: {sentence}")
    return EXIT_USER_ERROR


def _stopped() -> int:
    _message("stopped; what is finished is saved, and the same command does the rest")
    return EXIT_INTERRUPTED


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    run()
