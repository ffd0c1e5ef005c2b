"""Import paths and shapes of packages that dbqueue replaces."""
