"""What a task says: its function, its options, and the forms that its calls take."""
