"""The command line: what each command takes, and how each ends.

Exit codes: 0 done, 1 failed, 2 wrong settings or usage, 130 ended by Ctrl-C. Errors are one
line each on standard error; a traceback appears only with ``log_level=debug``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge import __version__
from bridge.commands import history
from bridge.commands.check import run_check
from bridge.commands.demo import run_demo
from bridge.commands.errors import CommandError, UsageError
from bridge.commands.hash import run_hash
from bridge.commands.history_request import export_request
from bridge.commands.login import Application, print_policy, run_login
from bridge.commands.past import RECORDED_DAYS, run_past
from bridge.commands.query import Asked, Format, explain_query, run_query, write_rows
from bridge.commands.serve import recording_settings, run_bridge
from bridge.commands.simulate import run_simulator
from bridge.demo import DemoOptions
from bridge.errors import BridgeError
from bridge.logs import configure_logs
from bridge.serving import ListenError, StartError
from bridge.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.settings import Settings


app = typer.Typer(
    name="vscope-bridge",
    help="OVHcloud vScope data (VMware on OVHcloud) in Grafana.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Config = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings.", show_default=False)
]
LogLevel = Annotated[
    str | None,
    typer.Option("--log-level", help="debug, info, warning or error.", show_default=False),
]
Vms = Annotated[int, typer.Option("--vms", min=1, max=20_000, help="Virtual machines.")]
Hosts = Annotated[int, typer.Option("--hosts", min=1, max=2_000, help="Hosts.")]
Services = Annotated[int, typer.Option("--services", min=1, max=250, help="Services of that size.")]
Token = Annotated[
    bool,
    typer.Option("--token/--no-token", help="Whether OVHcloud still offers its history."),
]
Seed = Annotated[int, typer.Option("--seed", help="Another seed is another world.")]


@app.command()
def demo(
    *,
    vms: Vms = 60,
    hosts: Hosts = 8,
    services: Services = 1,
    port: Annotated[
        int, typer.Option("--port", envvar="PORT", min=0, max=65_535, help="Of the bridge.")
    ] = 8080,
    token: Token = False,
    recorded_days: Annotated[
        int, typer.Option("--recorded-days", min=0, help="Days recorded already.")
    ] = RECORDED_DAYS,
    seed: Seed = 1,
) -> None:
    """Try the bridge with a simulated OVHcloud; no account is needed."""
    options = DemoOptions(vms=vms, hosts=hosts, services=services, offer_token=token, seed=seed)
    run_demo(options, port, recorded_days=recorded_days)


@app.command()
def simulate(
    *,
    vms: Vms = 60,
    hosts: Hosts = 8,
    services: Services = 1,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")
    ] = 9000,
    token: Token = True,
    seed: Seed = 1,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    record_past: Annotated[
        Path | None,
        typer.Option(
            "--record-past",
            help="Only make up what a bridge would have recorded, in this empty folder.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the simulated OVHcloud alone."""
    options = DemoOptions(vms=vms, hosts=hosts, services=services, offer_token=token, seed=seed)
    if record_past is not None:
        run_past(options, record_past)
        return
    run_simulator(options, port, supervised=supervised)


@app.command()
def serve(
    *,
    config: Config = None,
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on.", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="TCP port to listen on.", show_default=False)
    ] = None,
    log_level: LogLevel = None,
    log_format: Annotated[
        str | None, typer.Option("--log-format", help="text or json.", show_default=False)
    ] = None,
) -> None:
    """Run the bridge."""

    def read() -> Settings:
        return load_settings(
            config, host=host, port=port, log_level=log_level, log_format=log_format
        )

    run_bridge(read(), read)


@app.command()
def check(*, config: Config = None, log_level: LogLevel = None) -> None:
    """Check credential, rights, services, token and history, one line each."""
    settings = _quiet(config, log_level)
    if not asyncio.run(run_check(settings)):
        raise typer.Exit(1)


@app.command()
def login(
    *,
    config: Config = None,
    account: Annotated[
        str | None,
        typer.Option("--account", help="Which configured account.", show_default=False),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", help="ovh-eu, ovh-ca or ovh-us.", show_default=False),
    ] = None,
    api_url: Annotated[
        str | None, typer.Option("--api-url", help="Other base address.", show_default=False)
    ] = None,
    application_key: Annotated[
        str | None, typer.Option("--application-key", show_default=False)
    ] = None,
    service: Annotated[
        list[str] | None,
        typer.Option("--service", help="Only for this service; can be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="File for the key, instead of showing it."),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds you may take to confirm.")
    ] = 600,
    service_account: Annotated[
        bool,
        typer.Option("--service-account", help="Print the policy for an OAuth2 service account."),
    ] = False,
) -> None:
    """Ask OVHcloud for a consumer key with the least rights.

    The application secret comes from the settings, such as VSCOPE_APPLICATION_SECRET.
    """
    configure_logs("warning")
    application = Application(
        config=config,
        account=account,
        endpoint=endpoint,
        api_url=api_url,
        application_key=application_key,
        services=tuple(service or ()),
    )
    if service_account:
        print_policy(application)
    else:
        asyncio.run(run_login(application, wait_s=wait, output=output))


@app.command(name="hash")
def hash_secret() -> None:
    """Print the hash of a password or token, for the settings.

    The secret is asked for, or read from standard input.
    """
    run_hash()


@app.command()
def query(
    *,
    target: Annotated[
        str, typer.Argument(help="As in a panel: avg:vscope.vm.cpu.usage.perc{cluster=*}")
    ],
    start: Annotated[str, typer.Option("--from", help="now-6h, ISO 8601 or epoch.")] = "now-1h",
    end: Annotated[str, typer.Option("--to", help="As --from.")] = "now",
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    points: Annotated[int, typer.Option("--points", min=1, help="Most points of one series.")] = 60,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say how it would be fetched, and fetch nothing.")
    ] = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Ask OVHcloud once and print the answer."""
    settings = _quiet(config, log_level)
    asked = Asked(target, start, end, points)
    if explain:
        typer.echo(asyncio.run(explain_query(settings, asked)))
        return
    rows = asyncio.run(run_query(settings, asked))
    for notice in rows.notices:
        typer.echo(notice, err=True)
    typer.echo(write_rows(rows, form))


history_app = typer.Typer(
    help="The recording: what it holds, in and out, and its care. "
    "A running bridge that has it open is asked.",
    invoke_without_command=True,
)
app.add_typer(history_app, name="history")

Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", help="A metric; may be repeated.", show_default=False),
]


@history_app.callback()
def history_show(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    config: Config = None,
) -> None:
    """Show span, series and size of the recording, or work on it."""
    context.obj = config
    if context.invoked_subcommand is None:
        asyncio.run(history.show(_recording(context), as_json=as_json))


@history_app.command(name="export")
def history_export(
    context: typer.Context,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file; else standard output.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="parquet or csv.")] = "parquet",
    metric: Metrics = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", help="As vm=vm-101|vm-102; may be repeated.", show_default=False),
    ] = None,
    start: Annotated[str, typer.Option("--from", help="now-30d, ISO 8601 or epoch.")] = "0",
    end: Annotated[str, typer.Option("--to", help="As --from.")] = "now",
    tier: Annotated[str, typer.Option("--tier", help="raw, 10m or 1h.")] = "raw",
) -> None:
    """Write points, or roll-ups, to a Parquet or CSV file."""
    request = export_request(form, metric or ["*"], label or [], start, end, tier)
    asyncio.run(history.export(_recording(context), request, output))


@history_app.command(name="import")
def history_import(
    context: typer.Context,
    *,
    files: Annotated[list[Path], typer.Argument(help="Parquet or CSV files.")],
) -> None:
    """Store points exported elsewhere: columns metric, time, value and labels or tags."""
    asyncio.run(history.import_files(_recording(context), files))


@history_app.command(name="verify")
def history_verify(context: typer.Context) -> None:
    """Read everything and say what is wrong."""
    asyncio.run(history.work(_recording(context), "verify"))


@history_app.command(name="compact")
def history_compact(context: typer.Context) -> None:
    """Move all points into files and roll them up, now."""
    asyncio.run(history.work(_recording(context), "compact"))


@history_app.command(name="backup")
def history_backup(context: typer.Context) -> None:
    """Bring the copy in the folder's backup folder up to date."""
    asyncio.run(history.work(_recording(context), "backup"))


@history_app.command(name="set-aside")
def history_set_aside(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(help="As the message about the damage names it.")],
) -> None:
    """Go on without a damaged file; it is moved, never deleted."""
    asyncio.run(history.work(_recording(context), "set-aside", path=file))


@app.command()
def backfill(
    *,
    start: Annotated[
        str, typer.Option("--from", help="now-400d, ISO 8601 or epoch.")
    ] = f"now-{history.LOOK_BACK_DAYS}d",
    end: Annotated[str, typer.Option("--to", help="As --from.")] = "now",
    metric: Metrics = None,
    config: Config = None,
) -> None:
    """Copy the history that OVHcloud still serves into the recording.

    Days are copied newest first. What was broken off goes on where it stopped.
    """
    first, last = history.Span(start, end).read()
    settings = recording_settings(load_settings(config))
    configure_logs("error", settings.log_format)
    asked = {"metrics": metric or [], "start_ms": first, "end_ms": last}
    asyncio.run(history.work(settings, "backfill", **asked))


def _recording(context: typer.Context) -> Settings:
    settings = recording_settings(load_settings(context.obj, need_account=False))
    configure_logs("error", settings.log_format)
    return settings


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"vscope-bridge {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    try:
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; keep the interpreter from failing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 -- whatever it is: a line, not a traceback
        return _fail(error)
    return code if isinstance(code, int) else 0


def _fail(error: Exception) -> int:
    """Say what went wrong; return the exit code."""
    text, code = str(error), 1
    if isinstance(error, SettingsError | UsageError):
        code = 2
    elif hasattr(error, "format_message") and hasattr(error, "exit_code"):
        # Typer's own; their classes have moved between its versions.
        text, code = error.format_message(), error.exit_code
    elif not isinstance(error, BridgeError | CommandError | ListenError | StartError):
        text = f"internal error: {type(error).__name__}; log_level=debug shows where"
    for line in text.splitlines():
        typer.echo(f"vscope-bridge: {line}", err=True)
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        logging.getLogger("bridge").debug("traceback", exc_info=error)
    return code


def _quiet(config: Path | None, log_level: str | None) -> Settings:
    """Load settings for a command whose answer is its output: only warnings are logged."""
    settings = load_settings(config, log_level=log_level)
    configure_logs("debug" if settings.log_level == "debug" else "error", settings.log_format)
    return settings
