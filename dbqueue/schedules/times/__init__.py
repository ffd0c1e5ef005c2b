"""When the ticks of a schedule are, and which of them are due. Asks no database."""
