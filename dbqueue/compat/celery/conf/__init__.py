"""What is set of tasks and of apps: settings, options, routes."""
