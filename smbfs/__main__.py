"""``python -m smbfs`` is the command ``smbfs``."""

from smbfs.cli.main import main

main()
