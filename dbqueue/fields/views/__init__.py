"""What browsers ask: where to send a file, the bytes themselves, and how it is."""
