"""`stockbook demo`."""


def demo() -> None:
    """Play the examples and show what came of them."""
