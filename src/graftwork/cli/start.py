"""The console script: so small that nothing can interrupt it before it is ready to be interrupted."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still loading ends it like Ctrl-C later."""
    try:
        from graftwork.cli.main import called

        code = called(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = 130
    sys.exit(code)
