"""`graftwork`: the commands, and the one place where errors become exit codes.

0 done, 1 failed at work, 2 wrong request, 3 does not fit, 130 interrupted (the same command goes on).
"""

from collections.abc import Sequence
from typing import Any

import typer

from graftwork.cli import commands
from graftwork.cli.reply import refuse
from graftwork.core.errors import CapacityError, GraftworkError, Interrupted, WorkError

EXIT_OK, EXIT_FAILED, EXIT_WRONG, EXIT_DOES_NOT_FIT, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

WrongWords: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What typer raises for words it cannot read. It comes with a click of its own, so click's name for it will not do."""

app = typer.Typer(
    name="graftwork",
    help="One frozen base model, many adapters: from raw domain data to an adapter that answers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
commands.add_to(app)


def exit_code(error: BaseException) -> int:
    """What a shell is told of `error`."""
    if isinstance(error, Interrupted):
        return EXIT_INTERRUPTED
    if isinstance(error, CapacityError):
        return EXIT_DOES_NOT_FIT
    return EXIT_FAILED if isinstance(error, WorkError | OSError) else EXIT_WRONG


def called(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; everything is printed here."""
    as_json = "--json" in arguments
    try:
        code = typer.main.get_command(app).main(list(arguments), prog_name="graftwork", standalone_mode=False)
        return code if isinstance(code, int) else EXIT_OK
    except WrongWords as error:
        refuse(error.format_message(), as_json=as_json, kind="SpecError")
        return EXIT_WRONG
    except typer.Abort:
        refuse("interrupted", as_json=as_json, kind="Interrupted")
        return EXIT_INTERRUPTED
    except GraftworkError as error:
        refuse(error, as_json=as_json, kind=type(error).__name__)
        return exit_code(error)
    except OSError as error:  # a full disk, a folder that may not be written: not ours, and no traceback either
        refuse(f"{error.filename or 'file'}: {error.strerror or error}", as_json=as_json, kind="OSError")
        return EXIT_FAILED
