"""One accounting worker: `python -m services.accounting`."""

import sys

from services.accounting.handlers import service
from shared.process import serve_from_environment

sys.exit(serve_from_environment(service()))
