"""One aftercare worker: `python -m services.aftercare`."""

import sys

from services.aftercare.handlers import service
from shared.process import serve_from_environment
from shared.settings import Settings

sys.exit(serve_from_environment(service(administrators=Settings.from_environment().administrators)))
