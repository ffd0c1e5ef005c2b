"""Lists of jobs that stay fast at millions of rows: search, filters, and paging."""
