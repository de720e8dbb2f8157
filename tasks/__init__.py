"""The task declarations and suites: data, one TOML file each."""
