"""Logs: one JSON object a line on standard error, by structlog."""

import logging
import sys

import structlog


def configure(level: str = "info") -> None:
    """Set up structlog for this process; `level` is the name of a logging level."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that names the service which speaks."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(service=name)
    return bound
