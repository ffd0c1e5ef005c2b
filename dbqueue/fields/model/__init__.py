"""Fields of models: what they hold, and what was assigned to them."""
