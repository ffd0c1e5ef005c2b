"""Upload fields by the names, and with the defaults, of alliance-platform-storage."""
