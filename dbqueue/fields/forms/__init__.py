"""Fields of forms for files that arrive before their form is submitted."""
