"""The language that every service of Sojourn and every subscriber speaks."""
