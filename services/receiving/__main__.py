"""One receiving worker: `python -m services.receiving`."""

import sys

from services.receiving.handlers import service
from shared.process import serve_from_environment

sys.exit(serve_from_environment(service()))
