"""`python -m graftwork.cli`: the command line where no script is installed."""

from graftwork.cli.start import main

main()
