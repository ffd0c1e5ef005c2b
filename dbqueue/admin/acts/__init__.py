"""What operators may do: each with its permission, its outcome and its log entry."""
