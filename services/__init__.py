"""The worker services, and the desk where people look and act."""
