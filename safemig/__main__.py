"""`python -m safemig` is the command `safemig`."""

from safemig.cli import main

main()
