"""What all services stand on; names no service."""
