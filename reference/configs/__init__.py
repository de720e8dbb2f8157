"""Settings that ship with the package; `clara-reference train NAME` finds them."""
