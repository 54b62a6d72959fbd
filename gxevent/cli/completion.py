"""``gxevent completion``: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from gxevent.cli.common import Output, example, output_options

SETUP = {
    "bash": 'eval "$(gxevent completion bash)"  # in ~/.bashrc',
    "zsh": 'eval "$(gxevent completion zsh)"  # in ~/.zshrc, behind compinit',
    "fish": "gxevent completion fish | source  # in ~/.config/fish/config.fish",
}


@click.command("completion", epilog=example("\n".join(SETUP.values())))
@click.argument("shell", type=click.Choice(list(SETUP)))
@output_options
@click.pass_context
def command(ctx: click.Context, shell: str, output: Output) -> None:
    """Print the script with which SHELL completes gxevent's commands, options and values."""
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "gxevent", "_GXEVENT_COMPLETE").source()
    output.show({"shell": shell, "script": script}, [script])
