"""From a file in a request to an upload that is pending in the database."""
