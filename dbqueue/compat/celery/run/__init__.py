"""One run of a task: what it is told, what travels with it, and what is called."""
