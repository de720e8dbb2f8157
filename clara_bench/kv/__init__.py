"""Keys and values of passages: computed once, compressed without training, put before a question."""
