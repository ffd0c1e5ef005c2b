"""Who may see a job, and what is seen of it."""
