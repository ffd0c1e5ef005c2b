"""Import paths and shapes of packages that dbqueue takes the place of."""
