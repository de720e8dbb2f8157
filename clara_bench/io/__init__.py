"""Files and the terminal: the one way in and the one way out, for bytes that anybody may have written.

In: paths and bytes. Out: checked values, or an error that says where and why; text that commands no terminal.
Limits on size, escaping, redaction of credentials, atomic writes and the cache live here.
"""
