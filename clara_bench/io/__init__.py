"""Files and the terminal: all input and output, hardened against untrusted bytes.

In: paths and bytes. Out: checked values, or an error with place and reason; text without terminal commands.
This package holds size limits, escaping, redaction of credentials, atomic writes and the cache.
"""
