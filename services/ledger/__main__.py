"""One ledger worker: `python -m services.ledger`."""

import sys

from services.ledger.handlers import service
from shared.process import serve_from_environment

sys.exit(serve_from_environment(service()))
