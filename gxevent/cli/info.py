"""``gxevent info``: what is installed and what this machine can do."""

from __future__ import annotations

import click

from gxevent.cli.common import Output, example, output_options


@click.command("info", epilog=example("gxevent info --json"))
@output_options
def command(output: Output) -> None:
    """Versions, CPU features, the kernel path in use, and which extras are installed."""
    from gxevent.analysis.machine import machine_info

    info = machine_info()
    extras = info["extras"]
    lines = [
        f"gxevent      {info['gxevent']} (Python {info['python']}, {info['platform']})",
        "packages     " + ", ".join(f"{name} {version}" for name, version in info["packages"].items()),
        f"kernel       {info['kernel']} (this machine runs: {', '.join(info['kernels'])})",
        f"processors   {info['cpus']} usable",
        *(f"extra        {name}: {state}" for name, state in extras.items()),
    ]
    output.show(info, lines)
