"""Systems, from a question to an answer."""
