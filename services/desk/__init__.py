"""Where people look and act; the only package that may import all others."""
