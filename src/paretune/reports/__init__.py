"""The front for people: a table, a CSV, a picture."""
