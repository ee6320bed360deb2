"""`python -m qdci_lab.cli` is `qdci`."""

import sys

from qdci_lab.cli import main

sys.exit(main())
