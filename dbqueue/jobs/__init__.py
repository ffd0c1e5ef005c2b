"""What a call of a task becomes, and what may be done to it."""
